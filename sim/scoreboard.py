"""Equal means equal: what moved against what was expected, and where the first difference is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .ports import Record

__all__ = ["Difference", "Expectation", "compare", "compare_cycles"]

_AXES = {4: ("image", "row", "column", "channel"), 2: ("image", "channel"), 1: ("image",)}


@dataclass(frozen=True)
class Expectation:
    """What a stream should carry: the golden values int64 (images, ..., channels) of the layer called
    ``layer``."""

    stream: str
    layer: str
    values: NDArray[np.int64]


@dataclass(frozen=True)
class Difference:
    """The first value of a stream that is not as expected, of ``count``."""

    layer: str
    message: str
    count: int

    def __str__(self) -> str:
        return f"{self.layer}: {self.message} (the first of {self.count})"


def compare(record: Record, expectations: Sequence[Expectation]) -> list[Difference]:
    """The differences, one a stream at most, in the order of ``expectations``. All numbers are compared
    with ==."""
    found = [_compare(record, expectation) for expectation in expectations]
    return [difference for difference in found if difference is not None]


def _compare(record: Record, expectation: Expectation) -> Difference | None:
    stream, values = record[expectation.stream], expectation.values
    lanes = stream.codes.shape[1]
    channels = values.shape[-1] if values.ndim > 1 else 1
    each = -(-channels // lanes)
    whole = values.size // channels * each
    if len(stream.codes) != whole:
        return Difference(expectation.layer, f"expected {whole} beats, got {len(stream.codes)}", 1)
    got = stream.codes.reshape(-1, each * lanes)[:, :channels].reshape(values.shape)
    wrong = np.argwhere(got != values)
    if len(wrong) == 0:
        return None
    place = tuple(int(k) for k in wrong[0])
    pixel = int(np.ravel_multi_index(place, values.shape)) // channels
    beat = pixel * each + (place[-1] if values.ndim > 1 else 0) // lanes
    names = ", ".join(f"{axis} {k}" for axis, k in zip(_AXES[values.ndim], place, strict=True))
    return Difference(
        expectation.layer,
        f"{names}: expected {values[place]}, got {got[place]} in cycle {stream.cycles[beat]}",
        len(wrong),
    )


def compare_cycles(
    record: Record, predicted: Mapping[str, Sequence[int]], *, stalled: bool = False
) -> list[Difference]:
    """The first beat of each stream that did not move in the predicted cycle; ``predicted`` by stream
    name.

    ``stalled``: where inputs and outputs paused at random, no beat may move earlier than predicted without
    pauses, as nothing that happens waits for less.
    """
    differences = []
    for name, times in predicted.items():
        cycles, expected = record[name].cycles, np.asarray(times, dtype=np.int64)
        if len(cycles) != len(times):
            differences.append(Difference(name, f"predicted {len(times)} beats, got {len(cycles)}", 1))
            continue
        wrong = np.flatnonzero(cycles < expected if stalled else cycles != expected)
        if len(wrong):
            beat, when = int(wrong[0]), "at the earliest in" if stalled else "in"
            message = f"beat {beat}: predicted {when} cycle {times[beat]}, moved in cycle {cycles[beat]}"
            differences.append(Difference(name, message, len(wrong)))
    return differences
