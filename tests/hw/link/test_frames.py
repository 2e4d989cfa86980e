# amaranth: UnusedElaboratable=no
"""Frames as the hardware sends and reads them, against frames as the host does."""

import random

import pytest
from amaranth.sim import SimulatorContext

from codegen.host.frames import Frame, encode
from hw.link.frames import ESCAPE, FLAG, FrameReceiver, FrameSender
from tests.hw.bench import simulate


def frames(seed: int, count: int = 12) -> list[Frame]:
    """Random ones, rich in flags and escapes."""
    rng = random.Random(seed)
    some = [FLAG, ESCAPE, 0x5E, 0x5D, 0x00, 0xFF]
    return [
        Frame(
            rng.choice(some),
            rng.randrange(256),
            bytes(rng.choice([*some, rng.randrange(256)]) for _ in range(rng.randrange(9))),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_frames_go_out_as_the_host_reads_them(seed: int) -> None:
    sender, rng, out = FrameSender(), random.Random(seed), bytearray()
    wanted = b"".join(encode(frame) for frame in frames(seed))

    async def feed(ctx: SimulatorContext) -> None:
        for frame in frames(seed):
            content = bytes([frame.kind, frame.number]) + frame.payload
            for place, byte in enumerate(content):
                ctx.set(sender.i.payload, {"byte": byte, "last": place == len(content) - 1})
                ctx.set(sender.i.valid, 1)
                await ctx.tick().until(sender.i.ready)
                if rng.random() < 0.3:
                    ctx.set(sender.i.valid, 0)
                    await ctx.tick().repeat(rng.randrange(1, 4))
            ctx.set(sender.i.valid, 0)

    async def take(ctx: SimulatorContext) -> None:
        while len(out) < len(wanted):
            ctx.set(sender.o.ready, rng.random() < 0.6)
            _, _, valid, ready, byte = await ctx.tick().sample(
                sender.o.valid, sender.o.ready, sender.o.payload
            )
            if valid and ready:
                out.append(byte)

    simulate(sender, feed, take)
    assert out == wanted


Heard = list[tuple[bytes, bool]]


def receive(line: bytes, broken: frozenset[int] = frozenset()) -> Heard:
    """(content with checksum, whether it was good) of each frame; places in ``broken`` come broken."""
    receiver = FrameReceiver()
    heard: Heard = []

    async def bench(ctx: SimulatorContext) -> None:
        content = bytearray()
        for place, byte in enumerate(line):
            ctx.set(receiver.i.valid, place not in broken)
            ctx.set(receiver.broken, place in broken)
            ctx.set(receiver.i.payload, byte)
            if ctx.get(receiver.o.valid):
                content.append(ctx.get(receiver.o.payload))
            if ctx.get(receiver.end):
                heard.append((bytes(content), bool(ctx.get(receiver.good))))
                content.clear()
            await ctx.tick()
            ctx.set(receiver.i.valid, 0)
            ctx.set(receiver.broken, 0)
            if place % 3 == 0:
                await ctx.tick()

    simulate(receiver, bench)
    return heard


@pytest.mark.parametrize("seed", range(4))
def test_frames_of_the_host_are_read(seed: int) -> None:
    heard = receive(b"".join(encode(frame) for frame in frames(seed)))
    assert all(good for _, good in heard)
    contents = [(content[0], content[1], content[2:-2]) for content, _ in heard]
    assert contents == [(frame.kind, frame.number, frame.payload) for frame in frames(seed)]


def test_a_bit_turned_round_anywhere_is_noticed_and_the_next_frame_is_read() -> None:
    frame, after = Frame(2, 9, bytes([FLAG, 1, 2, ESCAPE, 200])), Frame(1, 3)
    line = encode(frame)
    for place in range(1, len(line) - 1):
        for bit in range(8):
            noisy = bytearray(line)
            noisy[place] ^= 1 << bit
            *damaged, last = receive(bytes(noisy) + encode(after))
            note = f"bit {bit} of byte {place}"
            assert damaged and not any(good for _, good in damaged), note
            assert last[1] and last[0][:2] == bytes([1, 3]), note


def test_a_byte_lost_on_the_line_spoils_its_frame_alone() -> None:
    line = encode(Frame(2, 9, b"abc")) * 2
    assert [good for _, good in receive(line, frozenset({4}))] == [False, True]


def test_a_frame_of_broken_bytes_alone_is_one_and_no_good_one() -> None:
    """So that the host hears of it at once, and need not wait until its time is up."""
    line = bytes([FLAG, 1, 2, 3, FLAG, FLAG]) + encode(Frame(1, 3))
    (content, good), last = receive(line, frozenset({1, 2, 3}))
    assert (content, good) == (b"", False)
    assert last[1] and last[0][:2] == bytes([1, 3])


def test_nothing_between_flags_is_no_frame_and_an_escape_before_a_flag_no_good_one() -> None:
    assert receive(bytes([FLAG] * 5)) == []
    whole = encode(Frame(1, 0))
    assert [good for _, good in receive(whole[:-1] + bytes([ESCAPE, FLAG]))] == [False]
