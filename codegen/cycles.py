"""The cycle model: at which cycle every beat of every stream moves, before anything is simulated.

Each layer is two processes, a writer that fills the line buffer and a reader that empties it, and every
event waits for at most a few others: the beat before it, the rows it needs, the places in the FIFO. An
event happens in the first cycle in which all of them allow it, so the whole run is a system of equations in
(max, +), and the order in which the processes are evaluated does not matter. Data plays no part. The
simulation must agree in every cycle.
"""

from array import array
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from hw.fifo import OutputFifo
from hw.reduce import Argmax
from hw.timing import LayerTiming

__all__ = ["LayerCycles", "Prediction", "predict", "steady_interval"]

Times: TypeAlias = "array[int]"
Process = Generator[tuple[Times, int], None, None]

ROW_LATENCY = 2
"""Cycles from a row's last beat to the first step that may read it."""


@dataclass(frozen=True)
class LayerCycles:
    """When a layer works: the cycle of the first step of every window, and of every beat that leaves."""

    starts: Times = field(default_factory=lambda: _times())
    beats: Times = field(default_factory=lambda: _times())


@dataclass(frozen=True)
class Prediction:
    """Cycles, counted from the one in which the first input beat is offered.

    ``inputs``: every input beat. ``layers``: each layer in turn. ``outputs``: every result, if an argmax
    follows.
    """

    images: int
    inputs: Times
    layers: tuple[LayerCycles, ...]
    outputs: Times

    @property
    def image_ends(self) -> Times:
        """The cycle in which the last result of each image moves."""
        results = self.outputs or self.layers[-1].beats
        each = len(results) // self.images
        return results[each - 1 :: each]

    @property
    def first_image_latency(self) -> int:
        """Cycles from the offer of the first input beat to the last result of the first image, both
        included."""
        return self.image_ends[0] + 1

    @property
    def cycles_per_image(self) -> float:
        """The steady interval between images."""
        return steady_interval(self.image_ends)


def steady_interval(ends: Sequence[int]) -> float:
    """Cycles between images, from the ``ends`` of a run: the mean over its second half, when the pipeline
    is full.

    Of a single image it is its whole time. A whole number unless the end of an image jitters.
    """
    if len(ends) == 1:
        return float(ends[0] + 1)
    half = (len(ends) - 1) // 2
    return float(ends[-1] - ends[half]) / (len(ends) - 1 - half)


def predict(layers: Sequence[LayerTiming], images: int, *, results: int = 0) -> Prediction:
    """Cycles of a chain of layers fed and emptied without a pause.

    ``results``: beats that an argmax behind the last layer takes for each image, 0 if there is none.
    Raises ``RuntimeError`` naming the layer if the chain cannot go on.
    """
    prediction = Prediction(images, _times(), tuple(LayerCycles() for _ in layers), _times())
    first = layers[0].window
    arrivals = _times(first.rows * first.columns * first.pixel_beats * images)
    taken = prediction.inputs
    processes: dict[str, Process] = {}
    for index, (layer, cycles) in enumerate(zip(layers, prediction.layers, strict=True)):
        filled, released, offered = _times(), _times(), _times()
        processes[f"writer of layer {index}"] = _write(layer, images, arrivals, taken, filled, released)
        processes[f"reader of layer {index}"] = _read(layer, images, filled, released, cycles, offered)
        arrivals, taken = offered, cycles.beats
    processes["sink"] = _sink(arrivals, taken, layers[-1], images, results, prediction.outputs)
    _evaluate(processes)
    return prediction


def _times(zeros: int = 0) -> Times:
    return array("q", bytes(8 * zeros))


def _evaluate(processes: dict[str, Process]) -> None:
    waiting = {name: next(process, None) for name, process in processes.items()}
    while any(waiting.values()):
        moved = False
        for name, process in processes.items():
            want = waiting[name]
            while want is not None and len(want[0]) > want[1]:
                want, moved = next(process, None), True
            waiting[name] = want
        if not moved:
            stuck = ", ".join(name for name, want in waiting.items() if want)
            raise RuntimeError(f"the accelerator cannot go on: {stuck} wait for each other")


def _write(
    layer: LayerTiming, images: int, arrivals: Times, taken: Times, filled: Times, released: Times
) -> Process:
    """Takes one sub-beat a cycle while there is a free row."""
    window = layer.window
    full = window.in_lanes // window.sub_beat
    tail = (window.channels - (window.pixel_beats - 1) * window.in_lanes) // window.sub_beat
    pixel = [full] * (window.pixel_beats - 1) + [tail]
    now = -1
    for row in range(images * window.rows):
        if row >= window.buffer_rows:
            yield released, row - window.buffer_rows
            now = max(now, released[row - window.buffer_rows])
        for sub_beats in pixel * window.columns:
            beat = len(taken)
            if len(arrivals) <= beat:
                yield arrivals, beat
            now = max(now + 1, arrivals[beat]) + sub_beats - 1
            taken.append(now)
        filled.append(now)


def _read(
    layer: LayerTiming, images: int, filled: Times, released: Times, cycles: LayerCycles, offered: Times
) -> Process:
    """Starts a window when its rows are there and its beats have a place; then one step a cycle."""
    window, reservation = layer.window, layer.reservation
    steps, delay = window.window_steps, layer.latency + OutputFifo.latency
    windows = [reservation.full] * (reservation.windows - 1) + [reservation.tail]
    now, gone = -1, 0
    for need, release in zip(window.need * images, window.release * images, strict=True):
        if need:
            yield filled, gone + need - 1
            now = max(now, filled[gone + need - 1] + ROW_LATENCY - 1)
        for beats in windows * (window.out_columns * window.groups):
            place = len(offered) + reservation.full - layer.fifo_depth - 1
            if place >= 0:
                if len(cycles.beats) <= place:
                    yield cycles.beats, place
                now = max(now, cycles.beats[place])
            cycles.starts.append(now + 1)
            now += steps
            offered.extend(range(now + delay, now + delay + beats))
        released.extend(now for _ in range(release))
        gone += release


def _sink(
    arrivals: Times, taken: Times, last: LayerTiming, images: int, results: int, outputs: Times
) -> Process:
    """Takes every beat as it comes; an argmax sends its index on after the last beat of each image."""
    window, reservation = last.window, last.reservation
    pixel = ((reservation.windows - 1) * reservation.full + reservation.tail) * window.groups
    now = -1
    for beat in range(images * window.out_rows * window.out_columns * pixel):
        if len(arrivals) <= beat:
            yield arrivals, beat
        now = max(now + 1, arrivals[beat])
        taken.append(now)
        if results and (beat + 1) % results == 0:
            outputs.append(now + Argmax.latency_of(last.lanes))
