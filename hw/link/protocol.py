"""What frames say: the one place that hardware and host have it from (docs/boards.md)."""

from dataclasses import dataclass
from enum import IntEnum

from amaranth.hdl import Shape

from hw.geometry import ceil_div

__all__ = ["CLASS_BYTES", "HEADER", "TRAILER", "Fault", "LinkShape", "Reply", "Request"]

HEADER = 2
"""Bytes before a frame's payload: its kind, and a number that the answer repeats."""
TRAILER = 2
"""Bytes behind it: the checksum."""
_FLAGS = 2
CLASS_BYTES = 2
"""Bytes of a class, the highest first, behind the scores."""


class Request(IntEnum):
    """What a host asks."""

    IDENTIFY = 0x01
    CLASSIFY = 0x02


class Reply(IntEnum):
    """What the board answers."""

    IDENTITY = 0x81
    SCORES = 0x82
    FAULT = 0xE0


class Fault(IntEnum):
    """Why a frame was refused: the payload of a ``Reply.FAULT``."""

    CHECKSUM = 1
    KIND = 2
    LENGTH = 3
    BUSY = 4


@dataclass(frozen=True)
class LinkShape:
    """``image_bytes`` of a request; ``count`` scores of ``shape`` in a reply; ``identity``: what the board
    says of itself."""

    image_bytes: int
    count: int
    shape: Shape
    identity: bytes

    @property
    def request_bytes(self) -> int:
        """Bytes on the line to ask for an image's class, if none of them needs an escape."""
        return _FLAGS + HEADER + self.image_bytes + TRAILER

    @property
    def reply_bytes(self) -> int:
        """Bytes on the line of the answer, if none of them needs an escape."""
        return _FLAGS + HEADER + self.count * self.score_bytes + CLASS_BYTES + TRAILER

    @property
    def score_bytes(self) -> int:
        """Bytes of each score, the highest first."""
        return ceil_div(self.shape.width, 8)
