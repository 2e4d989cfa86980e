# amaranth: UnusedElaboratable=no
"""The two places of images: what is committed comes out whole and in order, what is not never does."""

import random

import pytest
from amaranth.sim import SimulatorContext

from hw.link.slots import ImageSlots
from tests.hw.bench import Watched, simulate


@pytest.mark.parametrize("size", [1, 2, 5, 8])
@pytest.mark.parametrize("seed", range(3))
def test_committed_images_come_out_in_order(size: int, seed: int) -> None:
    slots, rng = Watched(ImageSlots(size)), random.Random(seed)
    committed: list[int] = []
    out: list[int] = []
    rounds = 30

    async def fill(ctx: SimulatorContext) -> None:
        for number in range(rounds):
            while not ctx.get(slots.room):
                await ctx.tick()
            ctx.set(slots.start, 1)
            await ctx.tick()
            ctx.set(slots.start, 0)
            whole = rng.random() < 0.6
            image = [(17 * number + k) % 256 for k in range(size if whole else rng.randrange(size + 1))]
            for byte in image:
                ctx.set(slots.i.valid, 1)
                ctx.set(slots.i.payload, byte)
                await ctx.tick()
                ctx.set(slots.i.valid, 0)
                await ctx.tick().repeat(rng.randrange(1, 4))
            if whole:
                committed.extend(image)
                ctx.set(slots.commit, 1)
                await ctx.tick()
                ctx.set(slots.commit, 0)
        await ctx.tick().repeat(200)

    async def drain(ctx: SimulatorContext) -> None:
        pause = 0
        while True:
            ctx.set(slots.o.ready, pause == 0 and rng.random() < 0.7)
            pause = pause - 1 if pause else rng.choice([0] * 20 + [40])
            _, _, valid, ready, byte, broken = await ctx.tick().sample(
                slots.o.valid, slots.o.ready, slots.o.payload, slots.broken.valid
            )
            assert not broken
            if valid and ready:
                out.append(byte)

    simulate(slots, fill, background=(drain,))
    assert out == committed and len(out) >= 5 * size


def test_a_third_image_finds_no_room_until_the_first_has_left() -> None:
    slots = ImageSlots(3)

    async def bench(ctx: SimulatorContext) -> None:
        for byte in range(2 * 3):
            ctx.set(slots.start, 0)
            assert ctx.get(slots.room)
            ctx.set(slots.i.valid, 1)
            ctx.set(slots.i.payload, byte)
            ctx.set(slots.commit, 0)
            await ctx.tick()
            ctx.set(slots.i.valid, 0)
            if byte % 3 == 2:
                ctx.set(slots.commit, 1)
                await ctx.tick()
                ctx.set(slots.commit, 0)
                ctx.set(slots.start, 1)
                await ctx.tick()
        assert not ctx.get(slots.room)
        ctx.set(slots.o.ready, 1)
        for byte in range(3):
            assert not ctx.get(slots.room)
            *_, heard = await ctx.tick().sample(slots.o.payload).until(slots.o.valid)
            assert heard == byte
        assert ctx.get(slots.room)

    simulate(slots, bench)


def test_words_for_no_size() -> None:
    with pytest.raises(ValueError) as caught:
        ImageSlots(0)
    assert str(caught.value) == "size must be at least 1 byte, not 0"
