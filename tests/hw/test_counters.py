# amaranth: UnusedElaboratable=no
"""Loop nests count like nested for-loops; lookups are tables."""

import itertools
import random
from collections.abc import Sequence

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import SimulatorContext

from hw.counters import LoopNest, lookup

from .bench import simulate

NESTS = [(1,), (3,), (2, 3), (3, 1, 2), (1, 1), (4, 2, 3), (1, 5), (2, 1)]


@pytest.mark.parametrize("counts", NESTS, ids=str)
def test_nest_counts_like_nested_loops(counts: tuple[int, ...]) -> None:
    nest, chance = LoopNest(counts), random.Random(str(counts))
    rounds = list(itertools.product(*map(range, counts))) * 2

    def ends(place: Sequence[int], at: Sequence[int]) -> list[int]:
        """For each loop, whether it and all inside it are where ``at`` says."""
        return [int(all(p == a for p, a in zip(place[k:], at[k:], strict=True))) for k in range(len(counts))]

    async def bench(ctx: SimulatorContext) -> None:
        done = 0
        while done < len(rounds):
            step = chance.random() < 0.7
            ctx.set(nest.step, step)
            place = rounds[done]
            assert tuple(ctx.get(index) for index in nest.index) == place
            assert [ctx.get(nest.first[k]) for k in range(len(counts))] == ends(place, [0] * len(counts))
            assert [ctx.get(nest.last[k]) for k in range(len(counts))] == ends(place, [c - 1 for c in counts])
            await ctx.tick()
            done += step

    simulate(nest, bench)


@pytest.mark.parametrize("counts", [(), (2, 0), (-1,)], ids=str)
def test_nest_refuses_a_count_below_one(counts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError) as caught:
        LoopNest(counts)
    assert str(caught.value) == f"every count must be at least 1, not {list(counts)}"


class Table(wiring.Component):
    """A lookup with ports."""

    def __init__(self, table: Sequence[int]):
        self.table = table
        super().__init__({"selector": In(range(max(2, len(table)))), "value": Out(96)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.value.eq(lookup(m, self.selector, self.table, "value"))
        return m


@pytest.mark.parametrize(
    "table",
    [
        [0],
        [7, 7, 7],
        [0, 0, 0],
        [1, 2, 2, 2, 3],
        [5, 4, 3, 2, 1, 0],
        [0, 9, 0, 9, 9],
        [300, 0],
        [1, 1 << 83, 1],
    ],
    ids=str,
)
def test_lookup_is_the_table(table: list[int]) -> None:
    dut = Table(table)

    async def bench(ctx: SimulatorContext) -> None:
        for position, value in enumerate(table):
            ctx.set(dut.selector, position)
            assert ctx.get(dut.value) == value, f"{table}[{position}]"

    simulate(dut, bench)
