# amaranth: UnusedElaboratable=no
"""Bytes to beats and beats to numbers, under pauses on either side."""

import random
from typing import Any

import pytest
from amaranth.hdl import signed
from amaranth.lib import wiring
from amaranth.sim import SimulatorContext

from hw.link.packing import Gather, Scatter
from tests.hw.bench import Watched, plain, simulate


def pass_through(unit: wiring.Component, beats: list[Any], count: int, seed: int) -> list[Any]:
    """What comes out for ``beats``, ``count`` payloads of it."""
    watched, rng, out = Watched(unit), random.Random(seed), []

    async def feed(ctx: SimulatorContext) -> None:
        for beat in beats:
            await ctx.tick().repeat(rng.randrange(1, 4))
            ctx.set(watched.i.valid, 1)
            ctx.set(watched.i.payload, beat)
            await ctx.tick().until(watched.i.ready)
            ctx.set(watched.i.valid, 0)

    async def take(ctx: SimulatorContext) -> None:
        while len(out) < count:
            ctx.set(watched.o.ready, rng.random() < 0.6)
            _, _, valid, ready, payload, broken = await ctx.tick().sample(
                watched.o.valid, watched.o.ready, watched.o.payload, watched.broken.valid
            )
            assert not broken
            if valid and ready:
                out.append(plain(payload))

    simulate(watched, feed, take)
    return out


@pytest.mark.parametrize(("bits", "lanes"), [(8, 1), (4, 1), (8, 3), (1, 5), (5, 2)])
def test_bytes_become_beats_lowest_lane_first(bits: int, lanes: int) -> None:
    rng = random.Random(bits * lanes)
    data = [rng.randrange(256) for _ in range(12 * lanes)]
    codes = [byte % (1 << bits) for byte in data]
    wanted = [codes[k : k + lanes] for k in range(0, len(codes), lanes)]
    assert pass_through(Gather(bits, lanes), data, 12, seed=lanes) == wanted


@pytest.mark.parametrize(("lanes", "count"), [(1, 1), (1, 4), (3, 10), (4, 4), (5, 3)])
def test_numbers_leave_one_by_one_without_the_padding(lanes: int, count: int) -> None:
    rng = random.Random(lanes * count)
    numbers = [[rng.randrange(-64, 64) for _ in range(count)] for _ in range(5)]
    beats = [
        (image[k : k + lanes] + [-1] * lanes)[:lanes] for image in numbers for k in range(0, count, lanes)
    ]
    out = pass_through(Scatter(signed(7), lanes, count), beats, 5 * count, seed=count)
    assert out == [number for image in numbers for number in image]
