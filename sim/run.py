"""A build in the simulator: every image, every stream, every beat."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.cycles import Prediction, steady_interval
from codegen.ir import IntegerNetwork
from codegen.manifest import TOP, read_manifest
from codegen.networks import Sample, Source
from codegen.plan import Plan
from codegen.report import Report, tidy, trained_accuracy
from codegen.report.schema import Accuracy, Cycles, Score
from codegen.verilog import ROM_FILE

from .ports import Direction, Record, Stall, StreamPort
from .scoreboard import Expectation
from .verilator_bench import Verdict, VerilatorBench

__all__ = ["Outcome", "bench", "forget_simulation", "simulate", "with_simulation"]


@dataclass(frozen=True)
class Outcome:
    """A finished run: what moved, what was predicted, what differed.

    ``whole``: every stream carried as many beats as predicted; if not, images cannot be told apart.
    """

    images: int
    record: Record
    prediction: Prediction
    verdict: Verdict
    whole: bool

    @property
    def image_ends(self) -> list[int]:
        """The cycle in which the last beat of each result moved."""
        cycles = self.record["o"].cycles
        return [int(end) for end in cycles.reshape(self.images, -1)[:, -1]]

    @property
    def compared(self) -> int:
        """Values that moved in all streams."""
        return sum(stream.codes.size for name, stream in self.record.items() if not name.startswith("start_"))

    @property
    def mismatches(self) -> int:
        """Values that were not equal."""
        return sum(difference.count for difference in self.verdict.values)


def bench(folder: Path, *, waves: bool = False, contents: Path | None = None) -> VerilatorBench:
    """The bench around a built accelerator, as its manifest describes it.

    ``contents``: the folder where its ROM files lie instead.
    """
    ports = tuple(
        StreamPort(stream.name, Direction(stream.direction), stream.format)
        for stream in read_manifest(folder).streams
    )
    return VerilatorBench(TOP, (folder / f"{TOP}.v", folder / ROM_FILE), ports, contents or folder, waves)


def simulate(
    folder: Path,
    plan: Plan,
    source: Source,
    images: NDArray[np.integer],
    stall: Stall,
    *,
    waves: bool = False,
    contents: Path | None = None,
) -> Outcome:
    """Runs images back to back and compares every layer's stream with the golden model, by equality.

    ``contents``: the folder of the ROM files of ``source``, where they are not those of the build.
    Without stalls every beat of every stream must move in its predicted cycle too, with stalls not before it.
    """
    values: dict[str, NDArray[np.int64]] = {"input": images.astype(np.int64)} | source.network.trace(images)
    expectations = [
        Expectation(one.name, one.layer, values[one.node].reshape(len(images), *one.shape))
        for one in read_manifest(folder).streams
        if one.node is not None
    ]
    prediction = plan.predict(len(images))
    around = bench(folder, waves=waves, contents=contents)
    expected = len(prediction.outputs or prediction.layers[-1].beats)
    claims = predicted_cycles(plan, prediction)
    run = around.compare(
        {"i": plan.input.pack(values["input"])},
        {"o": expected},
        stall=stall,
        patience=_patience(plan, stall),
        expectations=expectations,
        predicted=claims,
    )
    whole = all(len(run.record[name].cycles) == len(times) for name, times in claims.items())
    return Outcome(len(images), run.record, prediction, run.verdict, whole)


def _patience(plan: Plan, stall: Stall) -> int:
    """Cycles without a movement after which a run is stuck: a layer may work on a window for long, and all
    others may wait for it."""
    longest = max(layer.timing.window.window_steps for layer in plan.layers)
    return 10_000 + round(4 * longest / (1 - stall.probability))


def predicted_cycles(plan: Plan, prediction: Prediction) -> dict[str, Sequence[int]]:
    """The cycle model's claims by stream name."""
    results = prediction.outputs or prediction.layers[-1].beats
    claims: dict[str, Sequence[int]] = {"i": prediction.inputs, "o": results}
    for layer, cycles in zip(plan.layers, prediction.layers, strict=True):
        claims |= {f"tap_{layer.stage.name}": cycles.beats, f"start_{layer.stage.name}": cycles.starts}
    return claims


def forget_simulation(report: Report, network: IntegerNetwork) -> Report:
    """The report of a network without what an earlier simulation showed."""

    def forgotten(cycles: Cycles) -> Cycles:
        return replace(cycles, simulated=None)

    return replace(
        report,
        images=0,
        compared=None,
        mismatches=None,
        accuracy=trained_accuracy(network),
        cycles_per_image=forgotten(report.cycles_per_image),
        first_image_latency=forgotten(report.first_image_latency),
        layers=tuple(replace(layer, cycles=None) for layer in report.layers),
    )


def with_simulation(
    report: Report, plan: Plan, outcome: Outcome, source: Source, sample: Sample, stall: Stall
) -> Report:
    """A report with what the simulation of a sample showed; cycles only where nothing was stalled on purpose.

    All accuracies are those over the sample.
    """
    report = replace(report, images=outcome.images, compared=outcome.compared, mismatches=outcome.mismatches)
    if not outcome.whole:
        return report
    report = replace(report, accuracy=accuracy(source, sample, outcome.record["o"].codes))
    return report if stall.probability else _with_cycles(report, plan, outcome)


def accuracy(source: Source, sample: Sample, classes: NDArray[np.int64]) -> Accuracy:
    """Of the hardware, which gave these ``classes``, and of what it was made of, over the same images."""
    if not source.ends_in_a_class:
        return Accuracy()

    def score(answers: NDArray[np.int64] | None) -> Score | None:
        correct = None if answers is None else sample.correct(answers)
        return None if correct is None else Score(correct, len(sample))

    student = source.network.run(sample.images)
    return Accuracy(score(sample.answers.get("teacher")), score(student), score(classes))


def _with_cycles(report: Report, plan: Plan, outcome: Outcome) -> Report:
    cycles, prediction = steady_interval(outcome.image_ends), outcome.prediction
    layers = []
    for row, layer, claim in zip(report.layers, plan.layers, prediction.layers, strict=True):
        starts, steps = outcome.record[f"start_{row.name}"].cycles, layer.timing.window.window_steps
        spans = (_span(times, outcome.images, steps) for times in (claim.starts, starts))
        layers.append(replace(row, cycles=Cycles(*spans)))
    return replace(
        report,
        cycles_per_image=Cycles(tidy(prediction.cycles_per_image), tidy(cycles)),
        first_image_latency=Cycles(prediction.first_image_latency, outcome.image_ends[0] + 1),
        lane_efficiency=round(plan.lane_efficiency(cycles), 4),
        layers=tuple(layers),
    )


def _span(starts: Any, images: int, steps: int) -> int:
    """Cycles from the first to the last step that a layer spends on the last image."""
    each = len(starts) // images
    return int(starts[-1]) - int(starts[-each]) + steps
