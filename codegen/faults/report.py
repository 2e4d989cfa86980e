"""What a study of bit flips found: a table, a file, a plot (docs/faults.md)."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.table import Table

from codegen.files import write_atomically

from .study import Trials

__all__ = ["Study", "study_table", "write_study"]

_COLOURS = ("#1f6fb4", "#d1622b", "#2f8f4e", "#8a4fa3", "#a3842a", "#b03a5b", "#4a8f9c", "#666666")
_LEFT, _TOP, _WIDTH, _HEIGHT = 60, 30, 560, 320


@dataclass(frozen=True)
class Study:
    """All trials of a network: ``correct`` of ``images`` are right without any flip."""

    network: str
    seed: int
    images: int
    correct: int
    trials: tuple[Trials, ...]

    def accuracy(self, correct: float) -> float:
        """In percent."""
        return 100 * correct / self.images


def study_table(study: Study) -> Table:
    """A row for each layer and rate; points are those of accuracy in percent, lost in the mean."""
    made = Table()
    for title in ("layer", "rate", "bits flipped", "accuracy", "least", "most", "points lost"):
        made.add_column(title, justify="left" if title == "layer" else "right", no_wrap=True)
    made.add_row("", "0", "0", *[f"{study.accuracy(study.correct):.2f} %"] * 3, "0.00")
    for one in study.trials:
        mean, least, most = (study.accuracy(how(one.correct)) for how in (fmean, min, max))
        shares = [f"{share:.2f} %" for share in (mean, least, most)]
        lost = f"{study.accuracy(study.correct) - mean:.2f}"
        made.add_row(one.layer or "all", f"{one.rate:g}", f"{fmean(one.flips):,.1f}", *shares, lost)
    return made


def write_study(study: Study, folder: Path) -> None:
    """Writes ``faults.json`` and ``faults.svg`` into ``folder``, each atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "faults.json", (json.dumps(_content(study), indent=2) + "\n").encode())
    write_atomically(folder / "faults.svg", _plot(study).encode())


def _content(study: Study) -> dict[str, Any]:
    return {
        "network": study.network,
        "seed": study.seed,
        "images": study.images,
        "correct": study.correct,
        "rates": [
            {"layer": one.layer, "rate": one.rate, "flips": list(one.flips), "correct": list(one.correct)}
            for one in study.trials
        ],
    }


def _plot(study: Study) -> str:
    """Accuracy over the rate, which is drawn by its logarithm: the mean as a line, all trials as a band."""
    rates = [one.rate for one in study.trials if one.rate > 0] or [1.0]
    low = math.floor(math.log10(min(rates)))
    high = max(low + 1, math.ceil(math.log10(max(rates))))
    layers = list(dict.fromkeys(one.layer for one in study.trials))
    parts = list(_axes(study, low, high))
    for index, layer in enumerate(layers):
        points = [one for one in study.trials if one.layer == layer and one.rate > 0]
        parts += _series(study, points, _COLOURS[index % len(_COLOURS)], low, high)
        parts.append(
            f'<text x="{_LEFT + 12}" y="{_TOP + _HEIGHT - 14 - 16 * (len(layers) - 1 - index)}" '
            f'fill="{_COLOURS[index % len(_COLOURS)]}">{layer or "all layers"}</text>'
        )
    size = f'width="{_LEFT + _WIDTH + 20}" height="{_TOP + _HEIGHT + 50}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>", ""])


def _axes(study: Study, low: int, high: int) -> Iterator[str]:
    bottom, right = _TOP + _HEIGHT, _LEFT + _WIDTH
    for percent in range(0, 101, 20):
        y = _y(percent)
        yield f'<line x1="{_LEFT}" x2="{right}" y1="{y}" y2="{y}" stroke="#ddd"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{percent} %</text>'
    for power in range(low, high + 1):
        x = _x(10.0**power, low, high)
        yield f'<line x1="{x}" x2="{x}" y1="{_TOP}" y2="{bottom}" stroke="#ddd"/>'
        yield f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">1e{power}</text>'
    whole = _y(study.accuracy(study.correct))
    yield f'<line x1="{_LEFT}" x2="{right}" y1="{whole}" y2="{whole}" stroke="#999" stroke-dasharray="4 4"/>'
    yield f'<text x="{_LEFT}" y="18">{study.network}: accuracy, mean and range of all trials</text>'
    middle = (_LEFT + right) // 2
    yield f'<text x="{middle}" y="{bottom + 38}" text-anchor="middle">flipped share of the weight bits</text>'


def _series(study: Study, points: Sequence[Trials], colour: str, low: int, high: int) -> Iterator[str]:
    def line(how: Any, some: Sequence[Trials]) -> str:
        return " ".join(f"{_x(p.rate, low, high)},{_y(study.accuracy(how(p.correct)))}" for p in some)

    ordered = sorted(points, key=lambda point: point.rate)
    band = f"{line(max, ordered)} {line(min, ordered[::-1])}"
    yield f'<polygon points="{band}" fill="{colour}" fill-opacity="0.15"/>'
    yield f'<polyline points="{line(fmean, ordered)}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _x(rate: float, low: int, high: int) -> float:
    return round(_LEFT + _WIDTH * (math.log10(rate) - low) / (high - low), 1)


def _y(percent: float) -> float:
    return round(_TOP + _HEIGHT * (1 - percent / 100), 1)
