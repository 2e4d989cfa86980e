"""A layer is one engine: a line buffer, a datapath that never stops, and the FIFO in which its beats have a
place."""

from collections.abc import Sequence
from itertools import pairwise

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .fifo import OutputFifo
from .geometry import WindowGeometry
from .line_buffer import LineBuffer
from .matrix_vector import ArrayShape, MatrixVectorUnit, Recentre, Serialiser, serial_lanes
from .memory import SequenceRom
from .pipeline import valids
from .reduce import MaxReduce
from .requantise import ScaleRequantise, ThresholdRequantise
from .streams import accumulator, beat, elastic
from .timing import matrix_vector_timing, pool_timing

__all__ = ["MatrixVectorLayer", "PoolLayer", "Requantise"]

Requantise = ScaleRequantise | ThresholdRequantise


class MatrixVectorLayer(wiring.Component):
    """Convolution or fully connected layer: one window in ``window_steps`` cycles for each ``pe`` output
    channels.

    ``channels``: output channels. ``requantise``: the last stage, or ``None`` to send the accumulators
    themselves. ``weights``: the parts of the weight ROM, in step order. ``fifo_depth``: 0 takes the least
    that never holds it up.

    ``i``: elastic codes. ``o``: elastic beats of ``lanes`` output channels. ``start``: high when a window
    starts. Latency and throughput: ``timing``. Edges: windows that reach over the map see code 0 there.
    """

    def __init__(
        self,
        window: WindowGeometry,
        array: ArrayShape,
        channels: int,
        requantise: Requantise | None,
        weights: Sequence[tuple[int, Sequence[int] | str]],
        fifo_depth: int = 0,
    ):
        self.window, self.array, self.channels, self.weights = window, array, channels, tuple(weights)
        self.requantise = requantise
        width = sum(width for width, _ in weights)
        if width != array.pe * array.simd * array.weight_bits:
            raise ValueError(
                f"weights must be {array.pe * array.simd * array.weight_bits} bits wide together, not {width}"
            )
        self.lanes = serial_lanes(array.pe, window.window_steps, window.pixels)
        self.timing = matrix_vector_timing(
            window, array.pe, channels, requantise.latency if requantise else 0, fifo_depth
        )
        self.payload = (
            requantise.o.payload.shape()
            if requantise
            else beat(accumulator(array.low, array.high), self.lanes)
        )
        super().__init__(
            {
                "i": In(elastic(beat(array.code_bits, window.in_lanes))),
                "o": Out(elastic(self.payload)),
                "start": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        r, a = self.timing.reservation, self.array
        m.submodules.line_buffer = line = LineBuffer(self.window, a.code_bits)
        m.submodules.weights = rom = SequenceRom(self.window.weight_steps, self.weights)
        m.submodules.array = array = MatrixVectorUnit(a, self.window.taps)
        m.submodules.serialiser = serialiser = Serialiser(a, self.lanes, r.windows, r.tail)
        m.submodules.recentre = recentre = Recentre(a, self.lanes)
        m.submodules.fifo = fifo = OutputFifo(self.payload, self.timing.fifo_depth, r)
        ahead = valids(m, line.step, LineBuffer.latency - SequenceRom.latency)
        m.d.comb += [rom.step.eq(ahead[-1]), array.weights.eq(rom.data)]
        stages = [line, array, serialiser, recentre, fifo]
        if self.requantise is not None:
            m.submodules.requantise = self.requantise
            stages.insert(4, self.requantise)
        _chain(m, stages)
        _reserve(m, self, line, fifo)
        return m


class PoolLayer(wiring.Component):
    """Max pooling: ``channels`` of ``window`` at a time, one step of kernel positions a cycle.

    ``window.groups`` says how the channels are cut: each group's channels are pooled together and leave as
    one beat. ``i``: elastic codes. ``o``: elastic beats of codes. ``start``: high when a window starts.
    Latency and throughput: ``timing``. Edges: padding reads as code 0, the lowest.
    """

    def __init__(self, window: WindowGeometry, bits: int, fifo_depth: int = 0):
        self.window, self.bits = window, bits
        self.lanes = window.channels // window.groups
        self.payload = beat(bits, self.lanes)
        self.timing = pool_timing(window, fifo_depth)
        super().__init__(
            {
                "i": In(elastic(beat(bits, window.in_lanes))),
                "o": Out(elastic(self.payload)),
                "start": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.line_buffer = line = LineBuffer(self.window, self.bits)
        m.submodules.reduce = reduce = MaxReduce(self.bits, self.lanes, self.window.lanes // self.lanes)
        m.submodules.fifo = fifo = OutputFifo(self.payload, self.timing.fifo_depth, self.timing.reservation)
        _chain(m, [line, reduce, fifo])
        _reserve(m, self, line, fifo)
        return m


def _chain(m: Module, stages: Sequence[wiring.Component]) -> None:
    for before, after in pairwise(stages):
        wiring.connect(m, before.o, after.i)


def _reserve(m: Module, layer: MatrixVectorLayer | PoolLayer, line: LineBuffer, fifo: OutputFifo) -> None:
    """The layer's own ports, and the loop by which a window starts only when the FIFO has room for it."""
    wiring.connect(m, wiring.flipped(layer.i), line.i)
    wiring.connect(m, fifo.o, wiring.flipped(layer.o))
    m.d.comb += [line.room.eq(fifo.room), fifo.start.eq(line.start), layer.start.eq(line.start)]
