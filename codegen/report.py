"""The report of a build: what it is, what it costs, what was predicted and what was seen (docs/report.md)."""

import json
import re
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from codegen.files import write_atomically
from codegen.ir import IntegerNetwork

from .histograms import Values, histograms
from .html import html
from .networks import Source
from .plan import LayerPlan, Plan
from .stages import MatrixVectorStage

__all__ = ["PAGE", "Steps", "read_report", "report", "tidy", "write_report"]

PAGE = "report.html"

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


def report(plan: Plan, source: Source, steps: Steps, values: Values) -> Json:
    """The report of a build that was neither simulated nor placed yet: what only that can tell is ``None``.

    ``values``: what every node of the golden model gave for the images that are counted, and "input".
    """
    prediction = plan.predict(1)
    cycles = plan.cycles_per_image
    return {
        "network": plan.network,
        "note": source.note,
        "images": 0,
        "compared": None,
        "mismatches": None,
        "accuracy": _accuracy(source.network),
        "macs": plan.macs,
        "lanes": plan.lanes,
        "cycles_per_image": {"predicted": tidy(cycles), "simulated": None},
        "first_image_latency": {"predicted": prediction.first_image_latency, "simulated": None},
        "lane_efficiency": round(plan.lane_efficiency(cycles), 4),
        "layers": [_layer(layer) for layer in plan.layers],
        "argmax": None if plan.argmax is None else plan.argmax.name,
        "fpga": None,
        "steps": steps.rows,
        "histograms": histograms(plan, source.network, values),
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
        "kernel": list(stage.kernel),
        "stride": list(stage.stride),
        "bits": {
            "input": stage.source.bits,
            "weights": weighted.weights.bits if weighted else None,
            "output": layer.format.bits,
        },
        "macs": weighted.macs if weighted else 0,
        "pe": layer.fold.pe if weighted else window.channels // window.groups,
        "simd": layer.fold.simd if weighted else None,
        "pixels": layer.fold.pixels,
        "lanes": layer.lanes,
        "weight_bits": weighted.weights.codes.size * weighted.weights.bits if weighted else 0,
        "steps": window.steps,
        "writes": window.write_cycles,
        "cycles": {"predicted": None, "simulated": None},
        "buffer_rows": window.buffer_rows,
        "fifo_depth": layer.timing.fifo_depth,
    }


def write_report(folder: Path, content: Json) -> None:
    """Writes ``report.json`` and the page made of it, each atomically."""
    page = html(content)
    text = re.sub(r"\[\n[\s\d,]+\]", _on_a_line, json.dumps(content, indent=2))
    write_atomically(folder / "report.json", f"{text}\n".encode())
    write_atomically(folder / PAGE, page.encode())


def _on_a_line(numbers: re.Match[str]) -> str:
    """A list of whole numbers, which JSON would write one a line."""
    return "[" + " ".join(numbers[0][1:-1].split()) + "]"


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
