"""How a tensor travels: numbers side by side in a beat, beats one after another."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BeatFormat", "lines"]

_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_VALUE = np.zeros(256, dtype=np.uint8)
_VALUE[_HEX] = np.arange(16)
_CHUNK_BITS = 1 << 23


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

    def to_hex(self, beats: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Beats (beats, lanes) as ASCII hexadecimal digits (beats, digits), the highest digit first."""
        digits = np.empty((len(beats), self.digits), np.uint8)
        for rows in self._chunks(len(beats)):
            octets = beats[rows].astype("<i8")[:, :, None].view(np.uint8)
            bits = np.unpackbits(octets, axis=2, count=self.bits, bitorder="little")
            packed = np.packbits(bits.reshape(len(bits), -1), axis=1, bitorder="little")[:, ::-1]
            both = np.stack([_HEX[packed >> 4], _HEX[packed & 15]], axis=2).reshape(len(packed), -1)
            digits[rows] = both[:, both.shape[1] - self.digits :]
        return digits

    def from_hex(self, digits: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The inverse of ``to_hex``."""
        lanes = np.empty((len(digits), self.lanes), np.int64)
        for rows in self._chunks(len(digits)):
            values = _VALUE[digits[rows][:, ::-1]]
            bits = np.unpackbits(values[:, :, None], axis=2, count=4, bitorder="little")
            flat = bits.reshape(len(values), -1)[:, : self.width].reshape(-1, self.lanes, self.bits)
            octets = np.packbits(flat, axis=2, bitorder="little")
            whole = np.pad(octets, ((0, 0), (0, 0), (0, 8 - octets.shape[2])))
            lanes[rows] = whole.reshape(-1, self.lanes * 8).view("<i8")
        return self.signed_codes(lanes)

    def _chunks(self, beats: int) -> Iterator[slice]:
        """Slices of so many beats that their single bits fit into a few megabytes."""
        step = max(1, _CHUNK_BITS // self.width)
        return (slice(start, start + step) for start in range(0, beats, step))

    def signed_codes(self, lanes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Two's complement of ``bits`` bits as signed numbers, if the format is signed."""
        return (
            np.where(lanes >> (self.bits - 1) & 1, lanes - (1 << self.bits), lanes) if self.signed else lanes
        )


def lines(digits: NDArray[np.uint8]) -> bytes:
    """Rows of ASCII digits (rows, digits) as text, one row a line."""
    return np.append(digits, np.full((len(digits), 1), ord("\n"), np.uint8), axis=1).tobytes()
