# amaranth: UnusedElaboratable=no
"""The whole link, bit by bit on its pins, with a small accelerator made of Python behind it."""

import random
from collections.abc import Sequence

import pytest
from amaranth.hdl import signed
from amaranth.sim import SimulatorContext

from codegen.host.frames import Frame, FrameReader, encode
from hw.link.host_link import HostLink
from hw.link.protocol import Fault, LinkShape, Reply, Request
from tests.hw.bench import simulate

DIVISOR = 4
SIZE, COUNT = 6, 3
IDENTITY = b"what I am ~}"


def scores_of(image: Sequence[int]) -> list[int]:
    """What the accelerator in these tests computes: large and negative numbers among them."""
    return [image[0] - 200, 3 * image[1] - image[2], image[3] * 4 - 1000]


def answer(number: int, image: Sequence[int]) -> Frame:
    scores = scores_of(image)
    payload = b"".join(score.to_bytes(2, "big", signed=True) for score in scores)
    return Frame(Reply.SCORES, number, payload + scores.index(max(scores)).to_bytes(2, "big"))


def fault(number: int, reason: Fault) -> Frame:
    return Frame(Reply.FAULT, number, bytes([reason]))


def classify(number: int, image: Sequence[int]) -> bytes:
    return encode(Frame(Request.CLASSIFY, number, bytes(image)))


def talk(line: bytes, *, slow: int = 0, rest: int = 2500) -> tuple[list[Frame | None], list[list[int]], int]:
    """What the link answers to ``line``, the images that reached the accelerator, and the latest class.

    The accelerator waits ``slow`` cycles before it takes each image.
    """
    link = HostLink(LinkShape(SIZE, COUNT, signed(11), IDENTITY), DIVISOR)
    replies: list[Frame | None] = []
    images: list[list[int]] = []
    latest = 0

    async def speak(ctx: SimulatorContext) -> None:
        nonlocal latest
        await ctx.tick().repeat(10)
        for byte in line:
            for bit in (0, *((byte >> k) & 1 for k in range(8)), 1):
                ctx.set(link.rx, bit)
                await ctx.tick().repeat(DIVISOR)
        await ctx.tick().repeat(rest)
        latest = ctx.get(link.latest)

    async def listen(ctx: SimulatorContext) -> None:
        reader = FrameReader()
        while True:
            while ctx.get(link.tx):
                await ctx.tick()
            await ctx.tick().repeat(DIVISOR // 2)
            byte = 0
            for k in range(8):
                await ctx.tick().repeat(DIVISOR)
                byte |= ctx.get(link.tx) << k
            await ctx.tick().repeat(DIVISOR)
            assert ctx.get(link.tx), "a byte ends in its stop bit"
            replies.extend(reader.feed(bytes([byte])))

    async def accelerate(ctx: SimulatorContext) -> None:
        while True:
            if slow:
                await ctx.tick().repeat(slow)
            image: list[int] = []
            ctx.set(link.image.ready, 1)
            while len(image) < SIZE:
                _, _, valid, byte = await ctx.tick().sample(link.image.valid, link.image.payload)
                if valid:
                    image.append(byte)
            ctx.set(link.image.ready, 0)
            images.append(image)
            for score in scores_of(image):
                ctx.set(link.scores.valid, 1)
                ctx.set(link.scores.payload, score)
                taken = False
                while not taken:
                    _, _, taken = await ctx.tick().sample(link.scores.ready)
            ctx.set(link.scores.valid, 0)

    simulate(link, speak, background=(listen, accelerate))
    return replies, images, latest


def test_images_are_answered_in_their_order_and_the_last_class_shown() -> None:
    rng = random.Random(0)
    pictures = [[0x7E, 0x7D, 0, 255, 0x5E, 1], *([rng.randrange(256) for _ in range(SIZE)] for _ in range(5))]
    replies, images, latest = talk(b"".join(classify(250 + k, image) for k, image in enumerate(pictures)))
    assert images == pictures
    assert replies == [answer(250 + k, image) for k, image in enumerate(pictures)]
    assert latest == scores_of(pictures[-1]).index(max(scores_of(pictures[-1])))


def test_the_board_says_what_it_is() -> None:
    replies, images, _ = talk(encode(Frame(Request.IDENTIFY, 0x7E)))
    assert (replies, images) == ([Frame(Reply.IDENTITY, 0x7E, IDENTITY)], [])


IMAGE = [9, 8, 7, 6, 5, 4]


@pytest.mark.parametrize(
    ("frame", "reply"),
    [
        (Frame(Request.CLASSIFY, 5, bytes(IMAGE[:-1])), fault(5, Fault.LENGTH)),
        (Frame(Request.CLASSIFY, 5, bytes(IMAGE) * 2), fault(5, Fault.LENGTH)),
        (Frame(Request.CLASSIFY, 5, bytes(300)), fault(5, Fault.LENGTH)),
        (Frame(Request.CLASSIFY, 5), fault(5, Fault.LENGTH)),
        (Frame(Request.IDENTIFY, 5, b"?"), fault(5, Fault.LENGTH)),
        (Frame(0x55, 5, bytes(IMAGE)), fault(5, Fault.KIND)),
        (Frame(Reply.SCORES, 5, bytes(IMAGE)), fault(5, Fault.KIND)),
    ],
)
def test_frames_that_are_right_and_mean_nothing_are_refused(frame: Frame, reply: Frame) -> None:
    replies, images, _ = talk(encode(frame) + classify(6, IMAGE))
    assert replies == [reply, answer(6, IMAGE)]
    assert images == [IMAGE]


def test_a_damaged_frame_is_refused_and_its_image_goes_nowhere() -> None:
    damaged = bytearray(classify(5, IMAGE))
    damaged[4] ^= 0x10
    replies, images, _ = talk(bytes(damaged) + classify(6, IMAGE))
    assert replies == [fault(5, Fault.CHECKSUM), answer(6, IMAGE)]
    assert images == [IMAGE]


def test_a_third_image_before_the_first_was_taken_is_refused_and_the_others_answered() -> None:
    pictures = [[k] * SIZE for k in range(3)]
    line = b"".join(classify(k, image) for k, image in enumerate(pictures))
    replies, images, _ = talk(line, slow=10 * DIVISOR * len(line) + 200, rest=9000)
    assert replies == [fault(2, Fault.BUSY), answer(0, pictures[0]), answer(1, pictures[1])]
    assert images == pictures[:2]


@pytest.mark.parametrize("seed", range(3))
def test_no_noise_hangs_it(seed: int) -> None:
    """Random bytes and cut frames; then it still answers, and no wrong image ever came through."""
    rng = random.Random(seed)
    line = bytearray()
    for _ in range(12):
        whole = classify(rng.randrange(256), [rng.randrange(256) for _ in range(SIZE)])
        line += rng.choice(
            [rng.randbytes(rng.randrange(1, 20)), whole[: rng.randrange(len(whole))], b"\x7e\x02\x00" * 3]
        )
    replies, images, _ = talk(bytes(line) + b"\x7e" + encode(Frame(Request.IDENTIFY, 1)) + classify(2, IMAGE))
    assert images == [IMAGE], f"seed {seed}"
    assert None not in replies, "what the link itself says is never damaged"
    assert replies[-2:] == [Frame(Reply.IDENTITY, 1, IDENTITY), answer(2, IMAGE)], f"seed {seed}"
