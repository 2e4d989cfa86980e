"""Loop nests and small tables: the control that every engine shares."""

from collections import Counter
from collections.abc import Sequence

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["LoopNest", "lookup"]


class LoopNest(wiring.Component):
    """Nested counters, the last of ``counts`` innermost, which advance by one step in each cycle in which
    ``step`` is high.

    ``index[k]`` is the counter of loop k. ``first[k]`` and ``last[k]`` say that loop k and all inside it
    are at their first, or last, value: ``first[0]`` is the first step of the nest, ``last[-1]`` the
    innermost end. A loop of count 1 costs nothing. Latency 0; throughput one step a cycle; after the last
    step it starts again.
    """

    def __init__(self, counts: Sequence[int]):
        if not counts or min(counts) < 1:
            raise ValueError(f"every count must be at least 1, not {list(counts)}")
        self.counts = tuple(counts)
        super().__init__(
            {
                "step": In(1),
                "first": Out(len(counts)),
                "last": Out(len(counts)),
            }
            | {f"index_{k}": Out(range(max(2, count))) for k, count in enumerate(self.counts)}
        )

    @property
    def index(self) -> list[Signal]:
        return [getattr(self, f"index_{k}") for k in range(len(self.counts))]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first: Value = Const(1)
        last: Value = Const(1)
        for k in reversed(range(len(self.counts))):
            index, inner_last = self.index[k], last
            if self.counts[k] > 1:
                at_end = Signal(name=f"at_end_{k}")
                m.d.comb += at_end.eq(index == self.counts[k] - 1)
                with m.If(self.step & inner_last):
                    m.d.sync += index.eq(Mux(at_end, 0, index + 1))
                first, last = first & (index == 0), inner_last & at_end
            m.d.comb += [self.first[k].eq(first), self.last[k].eq(last)]
        return m


def lookup(m: Module, selector: Value, table: Sequence[int], name: str) -> Value:
    """``table[selector]`` as logic that only spells out where the table differs from its commonest value.

    Tables over rows, columns and chunks are constant but for a few entries at the edges of the image.
    """
    default = Counter(table).most_common(1)[0][0]
    if all(value == default for value in table):
        return Const(default, max(1, default.bit_length()))
    result = Signal(max(table).bit_length(), name=name)  # wider masks than a range can say
    m.d.comb += result.eq(default)
    with m.Switch(selector):
        for position, value in enumerate(table):
            if value != default:
                with m.Case(position):
                    m.d.comb += result.eq(value)
    return result
