"""A layer is one engine: a line buffer, a datapath that never stops, and the FIFO in which its beats have a place."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .fifo import OutputFifo, Reservation
from .geometry import WindowGeometry, ceil_div
from .line_buffer import LineBuffer
from .matrix_vector import ArrayShape, MatrixVectorUnit, Recentre, Serialiser, serial_lanes
from .memory import WeightRom
from .reduce import MaxReduce
from .requantise import ScaleRequantise, ThresholdRequantise
from .streams import accumulator, beat, elastic

__all__ = ["LayerTiming", "MatrixVectorLayer", "PoolLayer", "Requantise"]

Requantise = ScaleRequantise | ThresholdRequantise


@dataclass(frozen=True)
class LayerTiming:
    """Everything that the cycles of a layer depend on; the datapath's contents do not.

    ``latency``: cycles from a window's last step to its first beat entering the FIFO.
    """

    window: WindowGeometry
    reservation: Reservation
    latency: int
    fifo_depth: int


def least_depth(window: WindowGeometry, full: int, latency: int) -> int:
    """The FIFO depth at which reservations never hold up a layer whose beats are taken as they come.

    A window's places come back when its last beat has left: ``round_trip`` cycles after it started. Meanwhile the
    windows that start behind it, one in ``window_steps`` cycles, hold theirs.
    """
    round_trip = window.window_steps + latency + full + OutputFifo.latency + 1
    return max(4, full * (ceil_div(round_trip, window.window_steps) + 1))


class MatrixVectorLayer(wiring.Component):
    """Convolution or fully connected layer: one window in ``window_steps`` cycles for each ``pe`` output channels.

    ``channels``: output channels. ``requantise``: the last stage, or ``None`` to send the accumulators themselves.
    ``weights``: the parts of the weight ROM, in step order. ``fifo_depth``: 0 takes the least that never holds it up.

    ``i``: elastic codes. ``o``: elastic beats of ``lanes`` output channels. ``step``: high when a step is issued.
    Latency and throughput: ``timing``. Edges: windows that reach over the map see code 0 there.
    """

    def __init__(self, window: WindowGeometry, array: ArrayShape, channels: int, requantise: Requantise | None,
                 weights: Sequence[tuple[int, Sequence[int] | str]], fifo_depth: int = 0):
        self.window, self.array, self.channels, self.weights = window, array, channels, tuple(weights)
        self.requantise = requantise
        self.lanes = serial_lanes(array.pe, window.window_steps)
        latency = matrix_vector_latency(array.simd, requantise)
        reservation = self._reservation()
        self.timing = LayerTiming(window, reservation, latency,
                                  fifo_depth or least_depth(window, reservation.full, latency))
        self.payload = requantise.o.payload.shape() if requantise else beat(accumulator(array.low, array.high), self.lanes)
        super().__init__({
            "i": In(elastic(beat(array.code_bits, window.in_lanes))),
            "o": Out(elastic(self.payload)),
            "step": Out(1),
        })

    def _reservation(self) -> Reservation:
        """Each window brings ``pe`` channels, the last repeat of a group what is left of the group's."""
        left = self.channels // self.window.groups - (self.window.repeats - 1) * self.array.pe
        if not 0 < left <= self.array.pe:
            raise ValueError(f"repeats must be {self.channels // self.window.groups} channels of a group over "
                             f"{self.array.pe} PEs, rounded up, not {self.window.repeats}")
        if self.window.groups > 1 and (self.channels // self.window.groups) % self.lanes:
            raise ValueError(f"lanes must divide the {self.channels // self.window.groups} channels of a group, "
                             f"not {self.lanes}")
        return Reservation(self.window.repeats, self.array.pe // self.lanes, ceil_div(left, self.lanes))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        r, a = self.timing.reservation, self.array
        m.submodules.line_buffer = line = LineBuffer(self.window, a.code_bits)
        depth = self.window.groups * self.window.repeats * self.window.window_steps
        m.submodules.weights = rom = WeightRom(a.weight_bits, a.pe * a.simd, depth, self.weights)
        m.submodules.array = array = MatrixVectorUnit(a)
        m.submodules.serialiser = serialiser = Serialiser(a, self.lanes, r.windows, r.tail)
        m.submodules.recentre = recentre = Recentre(a, self.lanes)
        m.submodules.fifo = fifo = OutputFifo(self.payload, self.timing.fifo_depth, r)
        m.d.comb += [rom.step.eq(line.step), array.weights.eq(rom.codes)]
        stages = [line, array, serialiser, recentre, fifo]
        if self.requantise is not None:
            m.submodules.requantise = self.requantise
            stages.insert(4, self.requantise)
        _chain(m, stages)
        _reserve(m, self, line, fifo)
        return m


class PoolLayer(wiring.Component):
    """Max pooling: ``channels`` of ``window`` at a time, one step of kernel positions a cycle.

    ``window.groups`` says how the channels are cut: each group's channels are pooled together and leave as one beat.
    ``i``: elastic codes. ``o``: elastic beats of codes. ``step``: high when a step is issued. Latency and
    throughput: ``timing``. Edges: padding reads as code 0, the lowest.
    """

    def __init__(self, window: WindowGeometry, bits: int, fifo_depth: int = 0):
        self.window, self.bits = window, bits
        self.lanes = window.channels // window.groups
        if window.run_lanes % self.lanes or (window.groups > 1 and window.run_lanes != self.lanes):
            raise ValueError(f"run_lanes must be whole kernel positions of {self.lanes} channels, not {window.run_lanes}")
        self.payload = beat(bits, self.lanes)
        latency = LineBuffer.latency + MaxReduce.latency
        self.timing = LayerTiming(window, Reservation(1, 1, 1), latency, fifo_depth or least_depth(window, 1, latency))
        super().__init__({
            "i": In(elastic(beat(bits, window.in_lanes))),
            "o": Out(elastic(self.payload)),
            "step": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.line_buffer = line = LineBuffer(self.window, self.bits)
        m.submodules.reduce = reduce = MaxReduce(self.bits, self.lanes, self.window.lanes // self.lanes)
        m.submodules.fifo = fifo = OutputFifo(self.payload, self.timing.fifo_depth, self.timing.reservation)
        _chain(m, [line, reduce, fifo])
        _reserve(m, self, line, fifo)
        return m


def matrix_vector_latency(simd: int, requantise: Requantise | type[Requantise] | None) -> int:
    """Cycles from a window's last step to its first beat entering the FIFO."""
    stages = LineBuffer.latency + MatrixVectorUnit.latency_of(simd) + Serialiser.latency + Recentre.latency
    return stages + (requantise.latency if requantise else 0)


def _chain(m: Module, stages: Sequence[wiring.Component]) -> None:
    for before, after in zip(stages, stages[1:], strict=False):
        wiring.connect(m, before.o, after.i)


def _reserve(m: Module, layer: MatrixVectorLayer | PoolLayer, line: LineBuffer, fifo: OutputFifo) -> None:
    """The layer's own ports, and the loop by which a window starts only when the FIFO has room for it."""
    wiring.connect(m, wiring.flipped(layer.i), line.i)
    wiring.connect(m, fifo.o, wiring.flipped(layer.o))
    m.d.comb += [line.room.eq(fifo.room), fifo.start.eq(line.start), layer.step.eq(line.step)]

