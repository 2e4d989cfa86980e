"""The matrix-vector unit: PE output channels by SIMD inputs, one step a cycle, exact sums.

Every multiplier stands between two registers of its own, without reset and with one enable, so that synthesis
can use those inside a device's multiplier.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .counters import LoopNest
from .geometry import ceil_div
from .pipeline import later, tree_levels, valids
from .streams import OPERAND_BITS, Step, accumulator, beat, free_running

__all__ = ["ArrayShape", "MatrixVectorUnit", "Recentre", "Serialiser", "products_at_once"]


@dataclass(frozen=True)
class ArrayShape:
    """What a matrix-vector unit computes and how wide it is.

    ``raw_high``: the largest sum of r x that the layer's weights can reach; ``total_high``: the same of the
    sum of x. ``low`` and ``high`` bound the accumulators sum of w x = 2 sum of r x - (2^W - 1) sum of x
    (docs/numerics.md). ``pixels``: output pixels that share the weights of a step. ``logic``: products are
    made of logic instead of multipliers, in the same cycles.
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
    logic: bool = False

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
    ``latency_of(simd)`` cycles from a window's last step to its sums: an operand and a product register, one
    register a level of the adder tree, and the accumulator. Throughput: one step a cycle, windows back to
    back.
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
        return 3 + tree_levels(simd)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a = self.array
        code_high, weight_high = (1 << a.code_bits) - 1, (1 << a.weight_bits) - 1
        valid = valids(m, self.i.valid, 2 + tree_levels(a.simd))
        gates = a.weight_bits == a.code_bits == 1
        operands, adding, accumulating = valid[0], valid[1:-1], valid[-1]
        inputs = [later(m, [operands], code) for code in self.i.payload.codes]
        weights = [later(m, [operands], weight) for weight in self.weights]
        sums, totals = [], []
        for taps in self.taps:
            codes = [inputs[k] for k in taps]
            columns = [_products(weights[k :: a.simd], code, a.logic) for k, code in enumerate(codes)]
            for products in zip(*columns, strict=True):
                sums.append(_tree(m, adding, products, code_high * weight_high, at_once=gates))
            totals.append(_tree(m, adding, codes, code_high, at_once=True))

        first = later(m, valid[:-1], self.i.payload.first)
        m.d.sync += self.o.valid.eq(accumulating & later(m, valid[:-1], self.i.payload.last))
        registers = [*self.o.payload.raw, *self.o.payload.totals]
        with m.If(accumulating):
            for register, term in zip(registers, sums + totals, strict=True):
                m.d.sync += register.eq(Mux(first, 0, register) + term)
        return m


def products_at_once(weight_bits: int, code_bits: int) -> int:
    """Weights that fit side by side into one operand of a multiplier, so far apart that their products with
    one code do not meet: everything is unsigned, so none borrows from its neighbour."""
    if min(weight_bits, code_bits) == 1:
        return 1  # an AND for each bit
    return 1 + max(0, OPERAND_BITS - weight_bits) // (weight_bits + code_bits)


def _products(weights: Sequence[Value], code: Value, logic: bool) -> list[Value]:
    """Each weight times the code."""
    if len(code) == 1 or len(weights[0]) == 1:
        return [weight.replicate(len(code)) & code.replicate(len(weight)) for weight in weights]
    if logic:  # synthesis knows a product, and would take a multiplier for it
        return [
            sum((code & bit.replicate(len(code))) << place for place, bit in enumerate(weight))
            for weight in weights
        ]
    width = len(weights[0]) + len(code)
    count = products_at_once(len(weights[0]), len(code))
    products: list[Value] = []
    for start in range(0, len(weights), count):
        some = weights[start : start + count]
        side_by_side = Cat(Cat(weight, Const(0, len(code))) for weight in some)[: -len(code)]
        product = side_by_side * code
        products += [product[k * width : (k + 1) * width] for k in range(len(some))]
    return products


def _tree(m: Module, enables: Sequence[Value], terms: Sequence[Value], high: int, *, at_once: bool) -> Value:
    """The sum of ``terms``, each at most ``high``: a register for the terms, then one for every level.
    ``at_once``: the terms are added before the first register, so that the last one holds the sum again."""
    level, highs = list(terms), [high] * len(terms)
    for depth, enable in enumerate(enables):
        if depth or at_once:
            level = [sum(level[k + 1 : k + 2], level[k]) for k in range(0, len(level), 2)]
            highs = [sum(highs[k : k + 2]) for k in range(0, len(highs), 2)]
        level = [
            later(m, [enable], term, accumulator(0, top)) for term, top in zip(level, highs, strict=True)
        ]
    return level[0]


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
    """From sums of weight codes to sums of weights: 2 sum(r x) - (2^W - 1) sum(x). Latency 2, one beat a
    cycle."""

    latency = 2

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
        total, bits = self.i.payload.totals[0], self.array.weight_bits
        valid = valids(m, self.i.valid, self.latency)
        m.d.comb += self.o.valid.eq(valid[2])
        middle = later(m, valid[:1], (total << bits) - total)  # no product: multipliers are for weights
        for lane, raw in zip(self.o.payload, self.i.payload.raw, strict=True):
            m.d.comb += lane.eq(later(m, valid[1:2], (later(m, valid[:1], raw) << 1) - middle, lane.shape()))
        return m


def serial_lanes(pe: int, window_steps: int, pixels: int = 1) -> int:
    """The fewest lanes, a divisor of ``pe``, that carry ``pe`` sums of each pixel, of which there are at most
    ``window_steps``, away in ``window_steps`` cycles."""
    return next(lanes for lanes in range(ceil_div(pixels * pe, window_steps), pe + 1) if pe % lanes == 0)
