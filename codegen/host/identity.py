"""What a board says of itself."""

import struct
from dataclasses import dataclass

from codegen.errors import UserError

__all__ = ["Identity"]

_VERSION = 2
_FORMAT = struct.Struct(">BHHHBHBBH")
_NAME_BYTES = 64


@dataclass(frozen=True)
class Identity:
    """``network``: its name. Images are (rows, columns, channels) of codes 0..``high``, a byte each; scores
    are ``count`` numbers of ``score_bytes`` each, ``signed`` or not. ``side``: pictures are scaled to so many
    pixels a side before their middle is cut out; ``None`` for the size of the images."""

    network: str
    rows: int
    columns: int
    channels: int
    high: int
    count: int
    score_bytes: int
    signed: bool
    side: int | None = None

    @property
    def image_bytes(self) -> int:
        return self.rows * self.columns * self.channels

    def to_bytes(self) -> bytes:
        """As the board sends it: version, shape, highest code, scores, side, name.

        Raises ``UserError`` for what the fields cannot say.
        """
        name = self.network.encode()[:_NAME_BYTES].decode(errors="ignore").encode()
        image = (self.rows, self.columns, self.channels, self.high)
        scores = (self.count, self.score_bytes, int(self.signed))
        try:
            return _FORMAT.pack(_VERSION, *image, *scores, self.side or 0) + name
        except struct.error as error:
            shape = f"{self.rows} x {self.columns} x {self.channels}"
            raise UserError(
                f"a network on a board must read at most 65535 rows, columns and channels of codes up to 255 "
                f"and give at most 65535 scores, not {shape} of 0..{self.high} and {self.count}"
            ) from error

    @classmethod
    def from_bytes(cls, content: bytes) -> "Identity":
        """Raises ``UserError`` for anything that is no identity."""
        if len(content) < _FORMAT.size or content[0] != _VERSION:
            raise UserError(
                f"the board must say what it is in version {_VERSION} of the protocol, and said "
                f"{content[:16].hex() or 'nothing'}; it may carry another design"
            )
        _, rows, columns, channels, high, count, score_bytes, signed, side = _FORMAT.unpack_from(content)
        name = content[_FORMAT.size :].decode(errors="replace")
        return cls(name, rows, columns, channels, high, count, score_bytes, bool(signed), side or None)
