"""Requantisation: accumulators in, activation codes out, in the two exact forms of docs/numerics.md."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import add

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .geometry import ceil_div
from .memory import SequenceRom
from .pipeline import later, tree, tree_levels, valids
from .streams import OPERAND_BITS, accumulator, beat, free_running

__all__ = [
    "LIMB_BITS",
    "Loadable",
    "Parameters",
    "ScaleRequantise",
    "ThresholdRequantise",
    "limbs",
    "scale_parameters",
    "threshold_parameters",
]

Ends = tuple[int, int]

FETCH = SequenceRom.latency
"""Cycles until a channel's numbers are there."""


@dataclass(frozen=True)
class Loadable:
    """Numbers of the channels that may be replaced: they lie in a memory of their own, whatever they are.

    ``ends``: the lowest and the highest that each kind of them can be. ``file``: the ROM file, or "" for
    contents that stand in the design.
    """

    ends: tuple[Ends, ...]
    file: str = ""


def _ports(shape: Shape, lanes: int, bits: int) -> dict[str, wiring.Member]:
    return {"i": In(free_running(beat(shape, lanes))), "o": Out(free_running(beat(bits, lanes)))}


class ScaleRequantise(wiring.Component):
    """y = clip((multiplier * acc + offset) >> shift, 0, 2^bits - 1).

    ``multiplier`` and ``offset``: one number for the layer, or one for each channel; channels arrive
    ``lanes`` a beat, from 0 to the last and again. One beat a cycle. ``latency``: the channel's numbers,
    operands, products of limbs as wide as a multiplier takes, a register a level of the tree over these and
    the offset, clip. ``loadable``: ends of multiplier and offset.
    """

    def __init__(
        self,
        low: int,
        high: int,
        lanes: int,
        bits: int,
        multiplier: Sequence[int],
        offset: Sequence[int],
        shift: int,
        loadable: Loadable | None = None,
    ):
        if len(multiplier) != len(offset) or min(multiplier) < 0:
            raise ValueError(
                f"multipliers must not be negative and as many as offsets, not {list(multiplier)}"
            )
        self.low, self.high, self.lanes, self.bits = low, high, lanes, bits
        self.multiplier, self.offset, self.shift = tuple(multiplier), tuple(offset), shift
        self.parameters = scale_parameters(lanes, multiplier, offset, loadable)
        (_, top), _ = self.parameters.ends
        self.latency = self.latency_of(low, high, top)
        super().__init__(_ports(accumulator(low, high), lanes, bits))

    @staticmethod
    def latency_of(low: int, high: int, top: int) -> int:
        """Cycles from an accumulator to its code. ``low``, ``high``: its ends; ``top``: of a multiplier."""
        products = limbs(accumulator(low, high)) * limbs(accumulator(0, top))
        return FETCH + 3 + tree_levels(1 + products)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        (_, top), (least, most) = self.parameters.ends
        shape = accumulator(min(0, self.low) * top + least, max(0, self.high) * top + most)
        parameters = self.parameters.read(m, self.i.valid)
        valid = valids(m, self.i.valid, self.latency)
        operand, product, *adding, clipping = valid[FETCH:-1]
        m.d.comb += self.o.valid.eq(valid[-1])
        for k, (factor, offset) in enumerate(parameters):
            acc = later(m, valid[:FETCH], self.i.payload[k])
            terms = [later(m, [operand, product], offset)]
            terms += _products(m, operand, product, acc, factor)
            total = tree(m, adding, terms, add, shape)
            with m.If(clipping):
                m.d.sync += self.o.payload[k].eq(_clip(total >> self.shift, self.bits))
        return m


class ThresholdRequantise(wiring.Component):
    """y = how many of the 2^bits - 1 ascending thresholds acc has reached.

    ``thresholds``: one row for the layer, or one for each channel; channels arrive ``lanes`` a beat, from 0
    to the last and again. One beat a cycle. ``latency``: the channel's thresholds, compare, count.
    ``loadable``: ends of any threshold.
    """

    latency = FETCH + 2

    def __init__(
        self,
        low: int,
        high: int,
        lanes: int,
        bits: int,
        thresholds: Sequence[Sequence[int]],
        loadable: Loadable | None = None,
    ):
        if any(len(row) != (1 << bits) - 1 or list(row) != sorted(row) for row in thresholds):
            raise ValueError(f"thresholds must be rows of {(1 << bits) - 1} in ascending order")
        self.low, self.high, self.lanes, self.bits = low, high, lanes, bits
        self.thresholds = tuple(tuple(row) for row in thresholds)
        self.parameters = threshold_parameters(lanes, thresholds, loadable)
        super().__init__(_ports(accumulator(low, high), lanes, bits))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        parameters = self.parameters.read(m, self.i.valid)
        valid = valids(m, self.i.valid, self.latency)
        m.d.comb += self.o.valid.eq(valid[-1])
        for k, row in enumerate(parameters):
            acc = later(m, valid[:FETCH], self.i.payload[k])
            reached = later(m, [valid[FETCH]], Cat(acc >= threshold for threshold in row))
            with m.If(valid[FETCH + 1]):
                m.d.sync += self.o.payload[k].eq(sum(reached))
        return m


def _clip(value: Value, bits: int) -> Value:
    """A signed value clipped into 0 .. 2^bits - 1."""
    saturated = (1 << bits) - 1
    return Mux(value[-1], 0, Mux(value[bits:].any(), saturated, value[:bits]))


LIMB_BITS = OPERAND_BITS - 1
"""Bits of a part of a wide number; a multiplier has one more for its sign."""


def limbs(shape: Shape) -> int:
    """Into how many parts that one multiplier takes a number of this shape is cut."""
    return max(1, ceil_div(shape.width - shape.signed, LIMB_BITS))


def _cut(value: Value) -> list[Value]:
    """The parts of a number, lowest first; the sign stays with the last."""
    count = limbs(value.shape())
    if isinstance(value, Const):
        parts = [value.value >> k * LIMB_BITS & (1 << LIMB_BITS) - 1 for k in range(count)]
        return [Const(part) for part in parts]
    lower, last = (
        [value[k * LIMB_BITS : (k + 1) * LIMB_BITS] for k in range(count - 1)],
        value[(count - 1) * LIMB_BITS :],
    )
    return [*lower, last.as_signed() if value.shape().signed else last]


def _products(m: Module, operand: Value, product: Value, acc: Value, factor: Value) -> list[Value]:
    """Those of each part of an accumulator and each of a factor in their places, lowest first: a register
    before them and one behind."""
    lefts, rights = ([later(m, [operand], part) for part in _cut(number)] for number in (acc, factor))
    pairs = [(i + j, left, right) for i, left in enumerate(lefts) for j, right in enumerate(rights)]
    return [
        later(m, [product], left * right).shift_left(place * LIMB_BITS)
        for place, left, right in sorted(pairs, key=lambda pair: pair[0])
    ]


class Parameters:
    """The numbers of each channel, in columns of one kind with their lowest and highest: constants where the
    layer has one set that is never replaced, else words of a memory, one a beat."""

    def __init__(self, lanes: int, columns: Iterable[tuple[Ends, Sequence[int]]], loadable: Loadable | None):
        self.lanes, self.columns, self.loadable = lanes, list(columns), loadable
        fields = {f"column_{c}": accumulator(*ends) for c, (ends, _) in enumerate(self.columns)}
        self.row = data.ArrayLayout(data.StructLayout(fields), lanes)

    @property
    def ends(self) -> list[Ends]:
        """Lowest and highest of each kind."""
        return [ends for ends, _ in self.columns]

    @property
    def are_constant(self) -> bool:
        """Whether the layer has one set that is never replaced."""
        return self.loadable is None and len(self.columns[0][1]) == 1

    @property
    def words(self) -> list[int]:
        """The memory's contents; beyond the last channel its numbers once more."""
        channels = len(self.columns[0][1])
        padded = [list(numbers) + [numbers[-1]] * (-channels % self.lanes) for _, numbers in self.columns]
        starts = range(0, channels, self.lanes)
        return [_pack(self.row, padded, start) for start in starts]

    def read(self, m: Module, step: Value) -> list[list[Value]]:
        """For each lane the numbers of its channel, in the order of the channels, ``FETCH`` cycles after its
        beat."""
        if self.are_constant:
            return [[Const(numbers[0], accumulator(*ends)) for ends, numbers in self.columns]] * self.lanes
        words = self.words
        contents = words if self.loadable is None else self.loadable.file or words
        m.submodules.parameters = rom = SequenceRom(len(words), [(self.row.size, contents)])
        m.d.comb += rom.step.eq(step)
        view = data.View(self.row, rom.data)
        return [[view[k][f"column_{c}"] for c in range(len(self.columns))] for k in range(self.lanes)]


def scale_parameters(
    lanes: int, multiplier: Sequence[int], offset: Sequence[int], loadable: Loadable | None = None
) -> Parameters:
    """Those of ``ScaleRequantise``."""
    own = (0, max(multiplier)), (min(-1, *offset), max(0, *offset))
    ends = own if loadable is None else loadable.ends
    return Parameters(lanes, zip(ends, (multiplier, offset), strict=True), loadable)


def threshold_parameters(
    lanes: int, thresholds: Sequence[Sequence[int]], loadable: Loadable | None = None
) -> Parameters:
    """Those of ``ThresholdRequantise``."""
    flat = [t for row in thresholds for t in row]
    ends = (min(flat), max(0, *flat)) if loadable is None else loadable.ends[0]
    return Parameters(lanes, ((ends, column) for column in zip(*thresholds, strict=True)), loadable)


def _pack(row: data.ArrayLayout, columns: Sequence[Sequence[int]], start: int) -> int:
    return row.const(
        [{f"column_{c}": numbers[start + k] for c, numbers in enumerate(columns)} for k in range(row.length)]
    ).as_bits()
