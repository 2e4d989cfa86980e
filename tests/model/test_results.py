"""Studies: every run once, teachers shared, tables in their place."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import model.results
from codegen.errors import UserError
from model import folder as folders
from model.job import carry_out
from model.recipe import Method, Recipe, Scale, Start, load, shipped
from model.record import Changed, RunRecord, Score
from model.results import STUDIES, VARIANTS, Runner, Study, study, write_section


def told(recipe: Recipe, seed: int) -> RunRecord:
    """A run.json as if this had been trained: whatever is quick to make and can be told apart."""
    count = 300 + recipe.bits.weights + seed
    layers = {f"student {name}": 2.0 for name in ("conv1", "conv2", "fc")}
    stages = {"teacher": 10.0, "initialise": 0.5, **layers, "check": 3.0}
    score = Score(400, None, count + 2, 200, count, count)
    return RunRecord(recipe, seed, score, Changed(10 * seed, 400), (), (), 19.5, stages, 1)


class Pretended(Runner):
    """Remembers what it was asked for instead of training it."""

    def __init__(self) -> None:
        super().__init__(Path("runs"), None, 1, Console(quiet=True))
        self.asked: list[tuple[Recipe, int, str, Path | None]] = []

    def run(self, recipe: Recipe, seed: int, label: str, teacher: Path | None) -> RunRecord:
        self.asked.append((recipe, seed, label, teacher))
        return told(recipe, seed)


def test_the_tables_of_a_study() -> None:
    runner = Pretended()
    text = study("digits", runner)
    assert "| `digits_w8a8` |  | 78.00 (77.50 to 78.50) | 50.00 (50.00 to 50.00) |" in text
    assert "| 77.50 (77.00 to 78.00) | -0.50 (-0.50 to -0.50) | 5.0 (0.0 to 10.0) |" in text
    assert "| `digits_w8a8` | 10 | 0.5 | 6 = 2 + 2 + 2 | 0.65 | 3 |" in text
    assert "held-out images, mean (least to most) of seeds 0 to 4; differences in points; weights" in text
    assert "Seconds, mean of seeds 0 to 4, threads: 1;" in text
    assert text.count("| f = 0, no beta | 50.0 → ") == 2
    assert text.count(" | 2.5 |") == 2 * 2 * len(VARIANTS)
    assert "Students of `digits_w1a1`, its teacher at 76.0 %, in % after" in text
    assert text.count("changed by then in %, mean of seeds 0 to 2.") == 2
    taught = {str(teacher) for _, _, _, teacher in runner.asked if teacher}
    assert taught == {
        f"runs/{name}/as_it_is/seed_{seed}/teacher.safetensors"
        for name in ("digits_w4a4", "digits_w1a1")
        for seed in range(3)
    }


def test_every_run_has_a_folder_of_its_own() -> None:
    runner = Pretended()
    for name in STUDIES:
        study(name, runner)
    places = {runner.place(recipe, seed, label): (recipe, seed) for recipe, seed, label, _ in runner.asked}
    for recipe, seed, label, _ in runner.asked:
        assert places[runner.place(recipe, seed, label)] == (recipe, seed), label


def test_variants_change_what_they_say() -> None:
    recipe = load("digits_w4a4")
    changed = {variant.label: variant.change(recipe).student for variant in VARIANTS}
    assert changed.pop("as it is") == recipe.student
    assert all(student != recipe.student for student in changed.values())
    whole = changed["end to end from labels, no teacher"]
    assert (whole.method, whole.start, whole.schedule.epochs) == (Method.END_TO_END, Start.RANDOM, 120)
    assert changed["all layers at once"].schedule.epochs == 45
    assert (changed["f = 0, no beta"].fraction, changed["f = 0, no beta"].offset) == (0, False)


def test_studies_are_of_recipes_that_ship() -> None:
    for chosen in STUDIES.values():
        assert {*chosen.recipes, *chosen.ablated} <= shipped().keys()


def test_runs_are_done_once_and_go_on(short: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, trained = Runner(tmp_path, None, 1, Console(quiet=True)), []

    def counted(*arguments: Any) -> Any:
        trained.append(arguments[4].resume)
        return carry_out(*arguments)

    monkeypatch.setattr(model.results, "carry_out", counted)
    first = runner.run(short, 0, "as it is", None)
    assert runner.run(short, 0, "as it is", None) == first
    assert trained == [False]
    teacher = runner.place(short, 0, "as it is") / folders.TEACHER
    layer = replace(short, student=replace(short.student, scale=Scale.LAYER))
    (tmp_path / short.name / "one_scale" / "seed_0").mkdir(parents=True)
    place = runner.place(layer, 0, "one scale")
    (place / "checkpoint.safetensors").write_bytes(b"of something else")
    second = runner.run(layer, 0, "one scale", teacher)
    assert second.correct.teacher == first.correct.teacher
    assert trained == [False, True, False]


def test_a_section_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    rest = "<!-- end of one -->\n\nrest\n<!-- two -->\n<!-- end of two -->\n"
    path.write_text(f"# Title\n\n<!-- one -->\nold\n{rest}")
    write_section(path, "one", "| new |\n")
    assert path.read_text() == f"# Title\n\n<!-- one -->\n\n| new |\n\n{rest}"
    with pytest.raises(
        UserError, match=r"must be a text with the lines '<!-- three -->' and '<!-- end of three"
    ):
        write_section(path, "three", "x")
    with pytest.raises(UserError, match="must be a text"):
        write_section(tmp_path / "none.md", "one", "x")


def test_the_document_has_a_place_for_every_study(tmp_path: Path) -> None:
    document = tmp_path / "results.md"
    document.write_text((Path(__file__).parents[2] / "docs/results.md").read_text())
    for name in STUDIES:
        write_section(document, name, "x")


def test_one_seed_has_no_spread() -> None:
    chosen = Study(("digits_w1a1",), 1, ("digits_w4a4",), 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(STUDIES, "digits", chosen)
        text = study("digits", Pretended())
    assert "held-out images, seed 0; differences" in text
    assert "Seconds, seed 0, threads" in text
    assert "changed by then in %, seed 0." in text
