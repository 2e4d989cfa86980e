"""Frames on the host's side: the same flags, escapes and checksum as hw.link.frames, on bytes in memory."""

import binascii
from collections.abc import Iterator
from dataclasses import dataclass

from hw.link.frames import CHECKSUM, ESCAPE, FLAG, FLIP
from hw.link.protocol import HEADER, TRAILER

__all__ = ["Frame", "FrameReader", "encode"]


@dataclass(frozen=True)
class Frame:
    """``kind`` and ``number``, 0..255, and the payload."""

    kind: int
    number: int
    payload: bytes = b""


def encode(frame: Frame) -> bytes:
    """A frame as it goes over the line, a flag before it and one behind it."""
    content = bytes([frame.kind, frame.number]) + frame.payload
    content += _checksum(content).to_bytes(TRAILER, "big")
    content = content.replace(bytes([ESCAPE]), bytes([ESCAPE, ESCAPE ^ FLIP]))
    content = content.replace(bytes([FLAG]), bytes([ESCAPE, FLAG ^ FLIP]))
    return bytes([FLAG]) + content + bytes([FLAG])


class FrameReader:
    """Finds the frames in whatever comes over the line."""

    def __init__(self) -> None:
        self._begun = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame | None]:
        """The frames that end in ``data``; ``None`` for one that came damaged."""
        self._begun += data
        *ended, self._begun = self._begun.split(bytes([FLAG]))
        yield from (_decode(bytes(content)) for content in ended if content)


def _decode(content: bytes) -> Frame | None:
    plain = bytearray()
    escaped = False
    for byte in content:
        if not escaped and byte == ESCAPE:
            escaped = True
            continue
        plain.append(byte ^ FLIP if escaped else byte)
        escaped = False
    if escaped or len(plain) < HEADER + TRAILER or _checksum(plain) != 0:
        return None
    return Frame(plain[0], plain[1], bytes(plain[HEADER:-TRAILER]))


def _checksum(content: bytes | bytearray) -> int:
    """Of ``CHECKSUM``'s kind, as the standard library has it; 0 over a content with its own behind it."""
    return binascii.crc_hqx(content, CHECKSUM.initial_crc)
