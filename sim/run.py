"""A build in the simulator: every image, every stream, every beat."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.beats import BeatFormat
from codegen.build import TOP, read_manifest
from codegen.cycles import Prediction, steady_interval
from codegen.networks import Source
from codegen.plan import Plan
from codegen.report import tidy
from codegen.verilog import ROM_FILE

from .ports import Direction, Record, Stall, StreamPort
from .scoreboard import Expectation
from .verilator_bench import Verdict, VerilatorBench

__all__ = ["Outcome", "bench", "forget_simulation", "simulate", "update_report"]


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
    manifest = read_manifest(folder)
    ports = tuple(
        StreamPort(
            row["name"], Direction(row["direction"]), BeatFormat(row["lanes"], row["bits"], row["signed"])
        )
        for row in manifest["streams"]
    )
    return VerilatorBench(TOP, (folder / f"{TOP}.v", folder / ROM_FILE), ports, contents or folder, waves)


def simulate(
    folder: Path,
    plan: Plan,
    source: Source,
    images: NDArray[np.uint8],
    stall: Stall,
    *,
    waves: bool = False,
    contents: Path | None = None,
) -> Outcome:
    """Runs images back to back and compares every layer's stream with the golden model, by equality.

    ``contents``: the folder of the ROM files of ``source``, where they are not those of the build.
    Without stalls every beat of every stream must move in its predicted cycle too.
    """
    manifest = read_manifest(folder)
    values: dict[str, NDArray[np.int64]] = {"input": images.astype(np.int64)} | source.network.trace(images)
    expectations = [
        Expectation(row["name"], row["layer"], values[row["node"]].reshape(len(images), *row["shape"]))
        for row in manifest["streams"]
        if row["node"] is not None
    ]
    prediction = plan.predict(len(images))
    around = bench(folder, waves=waves, contents=contents)
    expected = len(prediction.outputs or prediction.layers[-1].beats)
    claims = predicted_cycles(plan, prediction)
    record = around.run(
        {"i": plan.input.pack(values["input"])},
        {"o": expected},
        stall=stall,
        patience=_patience(plan, stall),
        expectations=expectations,
        predicted={} if stall.probability else claims,
    )
    whole = all(len(record[name].cycles) == len(times) for name, times in claims.items())
    return Outcome(len(images), record, prediction, around.verdict(), whole)


def _patience(plan: Plan, stall: Stall) -> int:
    """Cycles without a movement after which a run is stuck: a layer may work on a window for long, and all
    others may wait for it."""
    longest = max(layer.timing.window.window_steps for layer in plan.layers)
    return 10_000 + round(4 * longest / (1 - stall.probability))


def predicted_cycles(plan: Plan, prediction: Prediction) -> dict[str, list[int]]:
    """The cycle model's claims by stream name."""
    claims = {"i": prediction.inputs, "o": prediction.outputs or prediction.layers[-1].beats}
    for layer, cycles in zip(plan.layers, prediction.layers, strict=True):
        claims |= {f"tap_{layer.stage.name}": cycles.beats, f"start_{layer.stage.name}": cycles.starts}
    return claims


def forget_simulation(told: dict[str, Any]) -> None:
    """Takes what an earlier simulation showed out of a report."""
    told |= {"images": 0, "compared": None, "mismatches": None}
    told["accuracy"]["hardware"] = None
    layers = [row["cycles"] for row in told["layers"]]
    for cycles in (told["cycles_per_image"], told["first_image_latency"], *layers):
        cycles["simulated"] = None


def update_report(
    told: dict[str, Any], plan: Plan, outcome: Outcome, labels: NDArray[np.int64] | None, stall: Stall
) -> None:
    """Writes what the simulation showed into a report; cycles only where nothing was stalled on purpose."""
    told |= {"images": outcome.images, "compared": outcome.compared, "mismatches": outcome.mismatches}
    if not outcome.whole:
        return
    if labels is not None and plan.argmax is not None:
        right = outcome.record["o"].codes.ravel() == labels[: outcome.images]
        told["accuracy"]["hardware"] = round(float(right.mean()), 6)
    if stall.probability:
        return
    cycles = steady_interval(outcome.image_ends)
    told["cycles_per_image"] = {
        "predicted": tidy(outcome.prediction.cycles_per_image),
        "simulated": tidy(cycles),
    }
    told["first_image_latency"] = {
        "predicted": outcome.prediction.first_image_latency,
        "simulated": outcome.image_ends[0] + 1,
    }
    told["lane_efficiency"] = round(plan.lane_efficiency(cycles), 4)
    for row, layer, claim in zip(told["layers"], plan.layers, outcome.prediction.layers, strict=True):
        starts = outcome.record[f"start_{layer.stage.name}"].cycles
        steps = layer.timing.window.window_steps
        row["cycles"] = {
            "predicted": _span(claim.starts, outcome.images, steps),
            "simulated": _span(starts, outcome.images, steps),
        }


def _span(starts: Any, images: int, steps: int) -> int:
    """Cycles from the first to the last step that a layer spends on the last image."""
    each = len(starts) // images
    return int(starts[-1]) - int(starts[-each]) + steps
