"""The studies behind docs/results.md: many runs, each done once, and the tables of what they reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from rich.console import Console

from codegen.errors import UserError
from codegen.files import write_atomically
from model import folder as folders
from model.job import carry_out, default_threads
from model.journal import Journal
from model.networks import topology
from model.recipe import Feed, Method, Recipe, Scale, Start, load
from model.record import RunRecord, read_record

if TYPE_CHECKING:
    from model.run import Settings  # torch takes seconds to import, so only training does


@dataclass(frozen=True)
class Variant:
    """One change of a recipe's student, and what it is called in a table."""

    label: str
    change: Callable[[Recipe], Recipe]


@dataclass(frozen=True)
class Study:
    """Recipes that are compared over `seeds`, and recipes whose students are varied over `ablation_seeds`."""

    recipes: tuple[str, ...]
    seeds: int
    ablated: tuple[str, ...]
    ablation_seeds: int


STUDIES = {
    "digits": Study(
        ("digits_w8a8", "digits_w4a4", "digits_w2a2", "digits_w1a1"), 5, ("digits_w4a4", "digits_w1a1"), 3
    ),
    "cifar": Study(
        tuple(f"vgg_small_quarter_w{bits}a{bits}" for bits in (8, 4, 2, 1)),
        1,
        ("vgg_small_eighth_w4a4",),
        1,
    ),
}


def _student(**changes: Any) -> Callable[[Recipe], Recipe]:
    return lambda recipe: replace(recipe, student=replace(recipe.student, **changes))


def _together(recipe: Recipe) -> Recipe:
    """As many epochs as the layers have one after another."""
    schedule, layers = recipe.student.schedule, topology(recipe.network, recipe.bits).layers
    longer = replace(schedule, epochs=schedule.epochs * len(layers))
    return _student(method=Method.TOGETHER, schedule=longer)(recipe)


def _end_to_end(recipe: Recipe) -> Recipe:
    """As many epochs as the teacher has, as slow as stands no batch norm."""
    teacher = recipe.teacher.schedule
    epochs, rate = teacher.epochs + recipe.teacher.float_epochs, teacher.learning_rate / 10
    schedule = replace(teacher, epochs=epochs, learning_rate=rate)
    return _student(method=Method.END_TO_END, start=Start.RANDOM, schedule=schedule)(recipe)


def _random(recipe: Recipe) -> Recipe:
    """Ten times as fast, since there is a long way to go."""
    rate = 10 * recipe.student.schedule.learning_rate
    schedule = replace(recipe.student.schedule, learning_rate=rate)
    return _student(start=Start.RANDOM, schedule=schedule)(recipe)


VARIANTS = (
    Variant("as it is", _student()),
    Variant("scale not fitted", _student(start=Start.SPREAD)),
    Variant("random weights, 10 x the learning rate", _random),
    Variant("f = 0", _student(fraction=0)),
    Variant("no beta", _student(offset=False)),
    Variant("f = 0, no beta", _student(fraction=0, offset=False)),
    Variant("fed by the teacher", _student(feed=Feed.TEACHER)),
    Variant("with the suffix loss", _student(suffix=1.0)),
    Variant("all layers at once", _together),
    Variant("end to end from labels, no teacher", _end_to_end),
)


class Runner:
    """Does the runs that are not there yet, under one folder, and shares teachers between students."""

    def __init__(self, folder: Path, data: Path | None, threads: int | None, console: Console) -> None:
        self.folder, self.data, self.threads, self.console = folder, data, threads, console

    def run(self, recipe: Recipe, seed: int, label: str, teacher: Path | None) -> RunRecord:
        """What the run left, done now unless it is there; an interrupted one goes on."""
        from model.checkpoint import NAME
        from model.run import Settings

        folder = self.place(recipe, seed, label)
        digest = folders.run_digest(recipe, seed, self.data, teacher)
        with folders.alone(folder):
            if not folders.is_finished(folder, digest):
                self.console.print(f"{folder}", highlight=False)
                resume = (folder / NAME).is_file()
                settings = Settings(folder, resume, "cpu", self.threads_of(recipe), teacher)
                self._carry_out(recipe, seed, settings, digest)
            return read_record(folder)

    def _carry_out(self, recipe: Recipe, seed: int, settings: Settings, digest: str) -> None:
        try:
            carry_out(recipe, seed, self.data, Journal(self.console), settings, digest)
        except UserError:
            if not settings.resume:
                raise
            again = replace(settings, resume=False)  # the checkpoint was of another run
            carry_out(recipe, seed, self.data, Journal(self.console), again, digest)

    def threads_of(self, recipe: Recipe) -> int:
        """How many the recipe's runs take."""
        return self.threads or default_threads(recipe)

    def place(self, recipe: Recipe, seed: int, label: str) -> Path:
        """The folder of a run."""
        words = "".join(c if c.isalnum() else " " for c in label).split()
        return self.folder / recipe.name / "_".join(words) / f"seed_{seed}"


def study(name: str, runner: Runner) -> str:
    """All tables of a study, in Markdown."""
    chosen = STUDIES[name]
    parts = [
        _accuracies(chosen, runner),
        *(_ablation(load(one), chosen.ablation_seeds, runner) for one in chosen.ablated),
    ]
    return "\n\n".join(parts) + "\n"


def _accuracies(chosen: Study, runner: Runner) -> str:
    rows, times = [], []
    for name in chosen.recipes:
        runs = [runner.run(load(name), seed, "as it is", None) for seed in range(chosen.seeds)]
        rows.append(
            [
                f"`{name}`",
                *(_over(runs, key) for key in ("float", "teacher", "initial", "network")),
                _gap(runs),
                _spread([100 * run.changed.share for run in runs], "{:.1f}"),
            ]
        )
        times.append([f"`{name}`", *_times(runs)])
    head = [
        "recipe",
        "float",
        "teacher",
        "stage 1",
        "student = integers",
        "student - teacher",
        "weights changed",
    ]
    cost = ["recipe", "teacher", "stage 1", "stage 2, layer by layer", "student / teacher", "check"]
    images = runs[0].correct.images
    threads = f"threads: {runner.threads_of(load(chosen.recipes[0]))}"
    return (
        f"Accuracy in % of {images:,} held-out images, {_seeds(chosen.seeds, ' (least to most)')}; "
        f"differences in points; weights changed: integers of the hidden layers that stage 2 changed, in %."
        f"\n\n{_table(head, rows)}\n\n"
        f"Seconds, {_seeds(chosen.seeds)}, {threads}; the teacher's include the float network's. "
        f"The check is of every layer on all held-out images, torch against integers in NumPy.\n\n"
        f"{_table(cost, times)}"
    )


def _ablation(recipe: Recipe, seeds: int, runner: Runner) -> str:
    """Students of the same teachers: every variant, with a scale for each channel, and for the layer."""
    rows = []
    for variant in VARIANTS:
        cells = []
        for scale in (Scale.CHANNEL, Scale.LAYER):
            changed = variant.change(_student(scale=scale)(recipe))
            runs = [
                _student_run(changed, seed, f"{variant.label} {scale.value}", runner, recipe)
                for seed in range(seeds)
            ]
            changed_share = mean(100 * run.changed.share for run in runs)
            cells += [
                f"{_percent(runs, 'initial'):.1f} → {_percent(runs, 'network'):.1f}",
                f"{changed_share:.1f}",
            ]
        rows.append([variant.label, *cells])
    teachers = [runner.run(recipe, seed, "as it is", None) for seed in range(seeds)]
    head = ["student", "a scale for each channel", "changed", "a scale for the layer", "changed"]
    return (
        f"Students of `{recipe.name}`, its teacher at {_percent(teachers, 'teacher'):.1f} %, "
        f"in % after stage 1 → at the end, and hidden weights changed by then in %, {_seeds(seeds)}."
        f"\n\n{_table(head, rows)}"
    )


def _student_run(changed: Recipe, seed: int, label: str, runner: Runner, recipe: Recipe) -> RunRecord:
    """A student of the teacher that the unchanged recipe has for the same seed."""
    runner.run(recipe, seed, "as it is", None)
    teacher = runner.place(recipe, seed, "as it is") / folders.TEACHER
    return runner.run(changed, seed, label, teacher)


def _seeds(count: int, spread: str = "") -> str:
    return f"mean{spread} of seeds 0 to {count - 1}" if count > 1 else "seed 0"


def _percents(runs: Sequence[RunRecord], key: str) -> list[float]:
    counts = [(getattr(run.correct, key), run.correct.images) for run in runs]
    return [100 * count / images for count, images in counts if count is not None]


def _percent(runs: Sequence[RunRecord], key: str) -> float:
    return mean(_percents(runs, key))


def _over(runs: Sequence[RunRecord], key: str) -> str:
    return _spread(_percents(runs, key), "{:.2f}")


def _gap(runs: Sequence[RunRecord]) -> str:
    pairs = zip(_percents(runs, "network"), _percents(runs, "teacher"), strict=True)
    return _spread([student - teacher for student, teacher in pairs], "{:+.2f}")


def _spread(values: list[float], form: str) -> str:
    if not values:
        return ""
    text = form.format(mean(values))
    return text if len(values) == 1 else f"{text} ({form.format(min(values))} to {form.format(max(values))})"


def _times(runs: Sequence[RunRecord]) -> Iterator[str]:
    teacher = mean(_seconds(run, "float") + _seconds(run, "teacher") for run in runs)
    initial = mean(_seconds(run, "initialise") for run in runs)
    layers = [stage for stage in runs[0].stages if stage.startswith("student ")]
    each = [mean(_seconds(run, layer) for run in runs) for layer in layers]
    yield f"{teacher:.0f}"
    yield f"{initial:.1f}"
    yield f"{sum(each):.0f} = " + " + ".join(f"{seconds:.0f}" for seconds in each)
    yield f"{(initial + sum(each)) / teacher:.2f}"
    yield f"{mean(_seconds(run, 'check') for run in runs):.0f}"


def _seconds(run: RunRecord, stage: str) -> float:
    return run.stages.get(stage, 0.0)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_section(path: Path, name: str, text: str) -> None:
    """Put the text between the marks `<!-- name -->` and `<!-- end of name -->` of a file; UserError if it
    has none."""
    first, last = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    try:
        content = path.read_text("utf-8")
        before, rest = content.split(first)
        _, after = rest.split(last)
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' must be a text with the lines '{first.strip()}' and '{last}'") from error
    write_atomically(path, f"{before}{first}\n{text}\n{last}{after}".encode())
