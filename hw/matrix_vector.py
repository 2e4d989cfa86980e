"""The matrix-vector unit: PE output channels by SIMD inputs, one step a cycle, exact sums."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .counters import LoopNest
from .geometry import ceil_div
from .streams import Step, accumulator, beat, free_running

__all__ = ["ArrayShape", "MatrixVectorUnit", "Recentre", "Serialiser"]


@dataclass(frozen=True)
class ArrayShape:
    """What a matrix-vector unit computes and how wide it is.

    ``raw_high``: the largest sum of r x that the layer's weights can reach; ``total_high``: the same of the
    sum of x. ``low`` and ``high`` bound the accumulators sum of w x = 2 sum of r x - (2^W - 1) sum of x
    (docs/numerics.md). ``pixels``: output pixels that share the weights of a step.
    """

    pe: int
    simd: int
    weight_bits: int
    code_bits: int
    raw_high: int
    total_high: int
    low: int
    high: int
    pixels: int = 1

    @property
    def sums(self) -> data.StructLayout:
        """PE raw sums of each pixel, pixel after pixel, and the sum of the inputs that those of a pixel
        share."""
        return _sums(self, self.pixels * self.pe, self.pixels)


def _sums(array: ArrayShape, lanes: int, pixels: int = 1) -> data.StructLayout:
    return data.StructLayout(
        {
            "raw": beat(accumulator(0, array.raw_high), lanes),
            "totals": beat(accumulator(0, array.total_high), pixels),
        }
    )


class MatrixVectorUnit(wiring.Component):
    """Multiplies each step's SIMD codes by PE x SIMD weight codes and adds up from a window's first step to
    its last.

    ``taps``: for each pixel the SIMD codes of a step that belong to it; by default the step is one pixel's.

    ``i``: steps; ``weights``: the weight codes of the same cycle; ``o``: one payload a window. Latency:
    ``latency_of(simd)`` cycles from a window's last step to its sums: a product register, one register a
    level of the adder tree, and the accumulator. Throughput: one step a cycle, windows back to back.
    """

    def __init__(self, array: ArrayShape, taps: Sequence[Sequence[int]] = ()):
        self.array, self.taps = array, taps or [range(array.simd)]
        lanes = 1 + max(place for pixel in self.taps for place in pixel)
        super().__init__(
            {
                "i": In(free_running(Step(array.code_bits, lanes))),
                "weights": In(beat(array.weight_bits, array.pe * array.simd)),
                "o": Out(free_running(array.sums)),
            }
        )

    @staticmethod
    def latency_of(simd: int) -> int:
        """Cycles from a window's last step to its sums."""
        return 2 + tree_levels(simd)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a = self.array
        pixels = [[self.i.payload.codes[k] for k in taps] for taps in self.taps]
        products = [
            [_product(self.weights[p * a.simd + k], code) for k, code in enumerate(codes)]
            for codes in pixels
            for p in range(a.pe)
        ]
        code_high, weight_high = (1 << a.code_bits) - 1, (1 << a.weight_bits) - 1
        sums = [
            _tree(m, self.i.valid, row, code_high * weight_high, f"pe{p}") for p, row in enumerate(products)
        ]
        totals = [_tree(m, self.i.valid, codes, code_high, f"total{v}") for v, codes in enumerate(pixels)]

        valid, first, last = _delay(
            m, self.i.valid, self.i.payload.first, self.i.payload.last, 1 + tree_levels(a.simd)
        )
        m.d.sync += self.o.valid.eq(valid & last)
        registers = [*self.o.payload.raw, *self.o.payload.totals]
        for register, term in zip(registers, sums + totals, strict=True):
            with m.If(valid):
                m.d.sync += register.eq(Mux(first, 0, register) + term)
        return m


def tree_levels(simd: int) -> int:
    """Levels of an adder tree of two-input adders over ``simd`` terms."""
    return (simd - 1).bit_length()


def _product(weight: Value, code: Value) -> Value:
    if len(weight) == 1:
        return code & weight.replicate(len(code))
    if len(code) == 1:
        return weight & code.replicate(len(weight))
    return weight * code


def _tree(m: Module, enable: Value, terms: Sequence[Value], high: int, name: str) -> Value:
    """The sum of ``terms``, each at most ``high``: a register for the terms, then one for every level."""
    level, highs, depth = list(terms), [high] * len(terms), 0
    while True:
        registers = [
            Signal(accumulator(0, top), reset_less=True, name=f"{name}_{depth}_{k}")
            for k, top in enumerate(highs)
        ]
        with m.If(enable):
            m.d.sync += [register.eq(term) for register, term in zip(registers, level, strict=True)]
        if len(registers) == 1:
            return registers[0]
        following = Signal(name=f"{name}_valid_{depth}")
        m.d.sync += following.eq(enable)
        enable, depth = following, depth + 1
        level = [sum(registers[k + 1 : k + 2], registers[k]) for k in range(0, len(registers), 2)]
        highs = [sum(highs[k : k + 2]) for k in range(0, len(highs), 2)]


def _delay(m: Module, valid: Value, first: Value, last: Value, cycles: int) -> tuple[Value, Value, Value]:
    state = Cat(valid, first, last)
    for k in range(cycles):
        later = Signal(3, name=f"flags_{k}")
        m.d.sync += later.eq(state)
        state = later
    return state[0], state[1], state[2]


class Serialiser(wiring.Component):
    """Sends the PE sums of each pixel of a window on as beats of ``lanes``, lowest channel first.

    The last window of every ``windows`` holds only ``tail`` beats that mean something; the rest is not
    sent. Latency: 1 cycle to the first beat. Throughput: a beat a cycle; windows must come at least
    ``pixels * pe / lanes`` cycles apart.
    """

    latency = 1

    def __init__(self, array: ArrayShape, lanes: int, windows: int, tail: int):
        if array.pe % lanes:
            raise ValueError(f"lanes must divide the {array.pe} PEs, not {lanes}")
        self.array, self.lanes, self.windows, self.tail = array, lanes, windows, tail
        super().__init__(
            {
                "i": In(free_running(array.sums)),
                "o": Out(free_running(_sums(array, lanes))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pixels, beats = self.array.pixels, self.array.pixels * self.array.pe // self.lanes
        raw = Signal(len(self.i.payload.raw.as_value()), reset_less=True)
        totals = Signal(len(self.i.payload.totals.as_value()), reset_less=True)
        left = Signal(range(beats + 1))
        m.submodules.window = window = LoopNest([self.windows])
        m.submodules.pixel = pixel = LoopNest([pixels, beats // pixels])
        m.d.comb += [
            window.step.eq(self.i.valid),
            self.o.valid.eq(left != 0),
            self.o.payload.raw.eq(raw),
            self.o.payload.totals.eq(totals),
        ]
        with m.If(left != 0):
            m.d.sync += [left.eq(left - 1), raw.eq(raw >> (len(raw) // beats))]
            if pixels > 1:
                m.d.comb += pixel.step.eq(1)
                with m.If(pixel.last[1]):
                    m.d.sync += totals.eq(totals >> (len(totals) // pixels))
        with m.If(self.i.valid):
            m.d.sync += [
                left.eq(Mux(window.last[0], self.tail, beats)),
                raw.eq(self.i.payload.raw),
                totals.eq(self.i.payload.totals),
            ]
        return m


class Recentre(wiring.Component):
    """From sums of weight codes to sums of weights: 2 sum(r x) - (2^W - 1) sum(x). Latency 1, one beat a
    cycle."""

    latency = 1

    def __init__(self, array: ArrayShape, lanes: int):
        self.array = array
        super().__init__(
            {
                "i": In(free_running(_sums(array, lanes))),
                "o": Out(free_running(beat(accumulator(array.low, array.high), lanes))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        total = self.i.payload.totals[0]
        middle = (total << self.array.weight_bits) - total  # a subtraction: multipliers are for weights
        m.d.sync += self.o.valid.eq(self.i.valid)
        with m.If(self.i.valid):
            for lane, raw in zip(self.o.payload, self.i.payload.raw, strict=True):
                m.d.sync += lane.eq((raw << 1) - middle)
        return m


def serial_lanes(pe: int, window_steps: int, pixels: int = 1) -> int:
    """The fewest lanes, a divisor of ``pe``, that carry ``pe`` sums of each pixel, of which there are at most
    ``window_steps``, away in ``window_steps`` cycles."""
    return next(lanes for lanes in range(ceil_div(pixels * pe, window_steps), pe + 1) if pe % lanes == 0)
