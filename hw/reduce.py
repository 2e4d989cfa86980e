"""Reductions without weights: the maximum of a window, the position of the largest logit."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .counters import LoopNest
from .geometry import ceil_div
from .pipeline import later, tree, tree_levels, valids
from .streams import Step, beat, elastic, free_running

__all__ = ["Argmax", "MaxReduce"]


class MaxReduce(wiring.Component):
    """The maximum of each channel over a window; a step holds ``taps`` kernel positions of ``channels``
    codes each.

    Codes are unsigned and padding reads as 0, the lowest code, so padding never wins. Latency:
    ``latency_of(taps)`` cycles, a register a level of the tree over the taps, one at least, and the window's
    running maximum. One step a cycle.
    """

    def __init__(self, bits: int, channels: int, taps: int):
        self.bits, self.channels, self.taps = bits, channels, taps
        super().__init__(
            {
                "i": In(free_running(Step(bits, taps * channels))),
                "o": Out(free_running(beat(bits, channels))),
            }
        )

    @staticmethod
    def latency_of(taps: int) -> int:
        """Cycles from a window's last step to its maxima."""
        return max(1, tree_levels(taps)) + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        valid = valids(m, self.i.valid, self.latency_of(self.taps) - 1)
        enables, compared = valid[:-1], valid[-1]
        first, last = (later(m, enables, flag) for flag in (self.i.payload.first, self.i.payload.last))
        m.d.sync += self.o.valid.eq(compared & last)
        for channel in range(self.channels):
            codes = [self.i.payload.codes[tap * self.channels + channel] for tap in range(self.taps)]
            best, running = tree(m, enables, codes, _larger), self.o.payload[channel]
            with m.If(compared):
                m.d.sync += running.eq(Mux(first | (best > running), best, running))
        return m


class Argmax(wiring.Component):
    """The index of the largest of ``count`` numbers, the lowest index where several are equal.

    ``i``: elastic beats of ``lanes`` numbers, the last one padded. ``o``: elastic indices, one for each
    ``count`` numbers. Latency: ``latency_of(lanes)`` from the last beat, a register a level of the tree over
    the numbers of a beat, and the largest so far. One beat a cycle, held up only while an index is not taken.
    """

    def __init__(self, shape: Shape, lanes: int, count: int):
        self.shape, self.lanes, self.count = shape, lanes, count
        super().__init__(
            {
                "i": In(elastic(beat(shape, lanes))),
                "o": Out(elastic(Shape.cast(range(max(2, count))))),
            }
        )

    @staticmethod
    def latency_of(lanes: int) -> int:
        """Cycles from the last beat of some numbers to their index."""
        return tree_levels(lanes) + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.beats = beats = LoopNest([ceil_div(self.count, self.lanes)])
        advance, levels = Signal(), tree_levels(self.lanes)
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            beats.step.eq(self.i.valid & advance),
        ]
        valid: Value = self.i.valid
        for level in range(levels):
            before, valid = valid, Signal(name=f"valid_{level + 1}")
            with m.If(advance):
                m.d.sync += valid.eq(before)
        first, last = (later(m, [advance] * levels, flag) for flag in (beats.first[0], beats.last[0]))
        number, place = _winner(m, [advance] * levels, self._numbers(beats.last[0]))

        best, base = Signal(self.shape, reset_less=True), Signal(range(max(2, self.count + self.lanes)))
        with m.If(advance):
            m.d.sync += self.o.valid.eq(valid & last)
        with m.If(advance & valid):
            m.d.sync += base.eq(Mux(last, 0, base + self.lanes))
            with m.If(first | (number > best)):
                m.d.sync += [best.eq(number), self.o.payload.eq(base + place)]
        return m

    def _numbers(self, is_last: Value) -> list[Value]:
        """Those of a beat; what pads the last one is lower than any, or as low and behind it."""
        used = self.count - (ceil_div(self.count, self.lanes) - 1) * self.lanes
        lowest = Const(-(1 << (self.shape.width - 1)) if self.shape.signed else 0, self.shape)
        given = self.i.payload
        return [Mux(is_last, lowest, given[k]) if k >= used else given[k] for k in range(self.lanes)]


def _larger(left: Value, right: Value) -> Value:
    return Mux(left > right, left, right)


def _winner(m: Module, enables: Sequence[Value], values: Sequence[Value]) -> tuple[Value, Value]:
    """The largest of ``values`` and the lowest place of one like it: a tree, one of ``enables`` a level."""
    level: list[tuple[Value, Value]] = [(value, Const(0, 0)) for value in values]
    for enable in enables:
        won = [_won(level[k : k + 2]) for k in range(0, len(level), 2)]
        level = [
            (later(m, [enable], value, values[0].shape()), later(m, [enable], place)) for value, place in won
        ]
    return level[0]


def _won(pair: Sequence[tuple[Value, Value]]) -> tuple[Value, Value]:
    """The larger of two values, the left one of equals, and its place in both; one alone passes."""
    (left, left_place), (right, right_place) = pair[0], pair[-1]
    wins = right > left if len(pair) == 2 else Const(0, 1)
    return Mux(wins, right, left), Cat(Mux(wins, right_place, left_place), wins)
