"""The report of a build: what it is, what it costs, what was predicted and what was seen (docs/report.md)."""

import json
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from codegen.ir import IntegerNetwork, write_atomically

from .plan import LayerPlan, Plan
from .stages import MatrixVectorStage

__all__ = ["Steps", "read_report", "report", "tidy", "write_report"]

Json = dict[str, Any]


@dataclass
class Steps:
    """The steps of a run in order, each with its wall time and the most memory that it had at one time."""

    console: Console
    rows: list[Json] = field(default_factory=list)

    @contextmanager
    def step(self, name: str, what: str) -> Iterator[None]:
        """Measures a step and shows that it runs; ``what`` tells the user what happens."""
        _reset_peak()
        children = _children_peak()
        start = time.monotonic()
        with self.console.status(f"{name}: {what}"):
            yield
        seconds = time.monotonic() - start
        peak = max(_own_peak(), _children_peak() if _children_peak() > children else 0)
        self.rows.append({"name": name, "seconds": round(seconds, 3), "peak_rss_bytes": peak})
        self.console.print(f"{name:<9}{what:<58}{seconds:6.1f} s", highlight=False)


def report(plan: Plan, network: IntegerNetwork, steps: Steps) -> Json:
    """The report of a build that was not simulated yet: what only a simulation can tell is ``None``."""
    prediction = plan.predict(1)
    cycles = plan.cycles_per_image
    return {
        "network": plan.network,
        "images": 0,
        "mismatches": None,
        "accuracy": _accuracy(network),
        "macs": plan.macs,
        "lanes": plan.lanes,
        "cycles_per_image": {"predicted": tidy(cycles), "simulated": None},
        "first_image_latency": {"predicted": prediction.first_image_latency, "simulated": None},
        "lane_efficiency": round(plan.lane_efficiency(cycles), 4),
        "layers": [_layer(layer) for layer in plan.layers],
        "steps": steps.rows,
    }


def tidy(cycles: float) -> int | float:
    """Cycles as a whole number if they are one, else to a thousandth."""
    return int(cycles) if cycles == int(cycles) else round(cycles, 3)


def _accuracy(network: IntegerNetwork) -> Mapping[str, float | None]:
    made = network.provenance
    counts = {"teacher": made.teacher_correct, "student": made.student_correct} if made else {}
    total = made.test_images if made else 0
    return {
        name: None if counts.get(name) is None or not total else round(counts[name] / total, 6)  # type: ignore[operator]
        for name in ("teacher", "student")
    } | {"hardware": None}


def _layer(layer: LayerPlan) -> Json:
    stage, window = layer.stage, layer.timing.window
    weighted = stage if isinstance(stage, MatrixVectorStage) else None
    return {
        "name": stage.name,
        "shape": [
            [stage.source.rows, stage.source.columns, stage.source.channels],
            [stage.result.rows, stage.result.columns, stage.result.channels],
        ],
        "bits": {
            "input": stage.source.bits,
            "weights": weighted.weights.bits if weighted else None,
            "output": layer.format.bits,
        },
        "macs": weighted.macs if weighted else 0,
        "pe": layer.fold.pe if weighted else window.channels // window.groups,
        "simd": layer.fold.simd if weighted else None,
        "pixels": layer.fold.pixels,
        "steps": window.steps,
        "cycles": {"predicted": None, "simulated": None},
        "buffer_rows": window.buffer_rows,
        "fifo_depth": layer.timing.fifo_depth,
    }


def write_report(folder: Path, content: Json) -> None:
    """Writes ``report.json``, atomically."""
    write_atomically(folder / "report.json", (json.dumps(content, indent=2) + "\n").encode())


def read_report(folder: Path) -> Json:
    """The report in a folder."""
    content: Json = json.loads((folder / "report.json").read_text())
    return content


def _reset_peak() -> None:
    """Linux forgets a process' memory peak when asked to; elsewhere peaks are those of the whole run."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _own_peak() -> int:
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _children_peak() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
