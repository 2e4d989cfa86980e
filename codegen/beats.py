"""How a tensor travels: numbers side by side in a beat, beats one after another."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BeatFormat", "lines"]

_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


@dataclass(frozen=True)
class BeatFormat:
    """``lanes`` numbers of ``bits`` bits a beat, the first one lowest."""

    lanes: int
    bits: int
    signed: bool = False

    @property
    def width(self) -> int:
        """Bits of a beat."""
        return self.lanes * self.bits

    @property
    def digits(self) -> int:
        """Hexadecimal digits of a beat."""
        return -(-self.width // 4)

    def pack(self, tensor: NDArray[np.int64]) -> NDArray[np.int64]:
        """Pixels (..., channels) as beats (beats, lanes); the last beat of a pixel is padded with 0."""
        pixels = tensor.reshape(-1, tensor.shape[-1])
        padded = np.pad(pixels, ((0, 0), (0, -pixels.shape[1] % self.lanes)))
        return padded.reshape(-1, self.lanes).astype(np.int64)

    def unpack(self, beats: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
        """The tensor of ``shape`` (..., channels) whose beats these are; what pads a pixel is dropped."""
        pixel = -(-shape[-1] // self.lanes) * self.lanes
        return beats.reshape(-1, pixel)[:, : shape[-1]].reshape(shape)

    def to_hex(self, beats: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Beats (beats, lanes) as ASCII hexadecimal digits (beats, digits), the highest digit first."""
        bits = (beats[:, :, None] >> np.arange(self.bits)) & 1
        flat = bits.reshape(len(beats), self.width).astype(np.uint8)
        nibbles = np.pad(flat, ((0, 0), (0, -self.width % 4))).reshape(len(beats), self.digits, 4)
        return _HEX[(nibbles << np.arange(4, dtype=np.uint8)).sum(axis=2)[:, ::-1]]

    def from_hex(self, digits: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The inverse of ``to_hex``."""
        values = np.where(digits >= ord("a"), digits - ord("a") + 10, digits - ord("0"))[:, ::-1]
        bits = ((values[:, :, None] >> np.arange(4)) & 1).reshape(len(digits), -1)[:, : self.width]
        lanes = (bits.reshape(-1, self.lanes, self.bits).astype(np.int64) << np.arange(self.bits)).sum(axis=2)
        return self.signed_codes(lanes)

    def signed_codes(self, lanes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Two's complement of ``bits`` bits as signed numbers, if the format is signed."""
        return (
            np.where(lanes >> (self.bits - 1) & 1, lanes - (1 << self.bits), lanes) if self.signed else lanes
        )


def lines(digits: NDArray[np.uint8]) -> bytes:
    """Rows of ASCII digits (rows, digits) as text, one row a line."""
    return np.append(digits, np.full((len(digits), 1), ord("\n"), np.uint8), axis=1).tobytes()
