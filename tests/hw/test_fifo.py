# amaranth: UnusedElaboratable=no
"""The output FIFO: what a window has reserved is there when its beats come, and no more is withheld."""

from collections import deque

import pytest
from amaranth.hdl import unsigned
from amaranth.sim import SimulatorContext

from hw import fifo as fifos
from hw.fifo import OutputFifo, Reservation

from .bench import Careless, Watched, simulate
from .cases import Draw, seeds


@pytest.fixture(autouse=True)
def _careless_memories(monkeypatch: pytest.MonkeyPatch) -> None:
    """No beat that counts is read while it is written."""
    monkeypatch.setattr(fifos, "Memory", Careless)


@pytest.mark.parametrize("seed", seeds(30, 200))
def test_reservations_use_every_place_and_never_one_more(seed: int) -> None:
    """Law: A window reserves its beats before it starts.

    Windows start at random wherever there is room, their beats follow at random, and who takes them rests at
    random, at first for so long that the FIFO fills up.
    """
    draw = Draw(seed, {})
    full = draw.whole(1, 5)
    reservation = Reservation(draw.whole(1, 3), full, draw.whole(1, full))
    depth = max(4, full) + draw.whole(0, 5)
    fifo = Watched(OutputFifo(unsigned(10), depth, reservation))
    eager = draw.one_of(1.0, 0.8, 0.4)
    note = f"seed {seed}: depth {depth}, {reservation}"

    async def bench(ctx: SimulatorContext) -> None:
        free, windows, number = depth, 0, 0
        coming: deque[int] = deque()
        came: list[int] = []
        for cycle in range(600):
            assert ctx.get(fifo.room) == (free >= full), f"{note}: {free} places free in cycle {cycle}"
            start = bool(ctx.get(fifo.room)) and draw.rng.random() < eager
            sends = bool(coming) and draw.rng.random() < eager
            takes = cycle >= 80 and draw.rng.random() < eager
            ctx.set(fifo.start, start)
            ctx.set(fifo.i.valid, sends)
            ctx.set(fifo.i.payload, coming.popleft() if sends else 0x3FF)
            ctx.set(fifo.o.ready, takes)
            if takes and ctx.get(fifo.o.valid):
                came.append(ctx.get(fifo.o.payload))
                free += 1
            assert not ctx.get(fifo.broken.valid), note
            if start:
                beats = reservation.tail if windows % reservation.windows == reservation.windows - 1 else full
                coming.extend(k % 1000 for k in range(number, number + beats))
                free, windows, number = free - beats, windows + 1, number + beats
            await ctx.tick()
        assert came == [k % 1000 for k in range(len(came))], note
        assert len(came) >= 40, note

    simulate(fifo, bench)


@pytest.mark.parametrize("depth", [4, 5, 8])
def test_beat_leaves_after_the_latency_and_one_follows_another(depth: int) -> None:
    fifo = OutputFifo(unsigned(8), depth, Reservation(1, 1, 1))

    async def bench(ctx: SimulatorContext) -> None:
        ctx.set(fifo.o.ready, 1)
        for cycle in range(20):
            assert ctx.get(fifo.room), f"a taken beat frees its place in time, also in cycle {cycle}"
            ctx.set(fifo.start, 1)
            ctx.set(fifo.i.valid, 1)
            ctx.set(fifo.i.payload, cycle)
            assert ctx.get(fifo.o.valid) == (cycle >= OutputFifo.latency)
            if cycle >= OutputFifo.latency:
                assert ctx.get(fifo.o.payload) == cycle - OutputFifo.latency
            await ctx.tick()

    simulate(fifo, bench)


@pytest.mark.parametrize(("depth", "full"), [(3, 1), (0, 1), (5, 6), (4, 5)])
def test_words_for_too_small_a_depth(depth: int, full: int) -> None:
    with pytest.raises(ValueError) as caught:
        OutputFifo(unsigned(8), depth, Reservation(1, full, full))
    assert str(caught.value) == f"depth must be at least 4 and hold the {full} beats of a window, not {depth}"
