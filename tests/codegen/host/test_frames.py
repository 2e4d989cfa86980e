"""Frames on the host's side."""

import random

import pytest
from amaranth.lib.crc.catalog import CRC16_IBM_3740

from codegen.host.frames import Frame, FrameReader, encode


def test_a_frame_on_the_line_written_out() -> None:
    """Law: docs/boards.md. The checksum is the catalogue's check value's kind: 0x29B1 over "123456789"."""
    assert CRC16_IBM_3740(data_width=8).compute(b"123456789") == 0x29B1
    assert encode(Frame(ord("1"), ord("2"), b"3456789")).hex() == "7e" + b"123456789".hex() + "29b1" + "7e"
    assert encode(Frame(1, 0x7E, b"\x7d")).hex().startswith("7e" + "01" + "7d5e" + "7d5d")


@pytest.mark.parametrize("seed", range(20))
def test_frames_come_back_however_the_line_cuts_them(seed: int) -> None:
    rng = random.Random(seed)
    frames = [
        Frame(rng.randrange(256), rng.randrange(256), rng.randbytes(rng.randrange(40))) for _ in range(10)
    ]
    line, reader, heard = b"".join(map(encode, frames)), FrameReader(), []
    while line:
        cut = rng.randrange(1, 12)
        heard += reader.feed(line[:cut])
        line = line[cut:]
    assert heard == frames


def test_damage_is_told_and_the_next_frame_found() -> None:
    good = encode(Frame(1, 2, b"abc"))
    for place in range(1, len(good) - 1):
        damaged = bytearray(good)
        damaged[place] ^= 0x04
        *before, last = FrameReader().feed(bytes(damaged) + good)
        assert before and set(before) == {None} and last == Frame(1, 2, b"abc"), place
    for cut in (b"\x7e\x01\x7e", b"\x7e\x01\x02\x03\x7e", good[:-1] + b"\x7d\x7e"):
        assert list(FrameReader().feed(cut)) == [None]
    assert list(FrameReader().feed(b"\x7e\x7e\x7e")) == []
