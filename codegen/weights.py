"""Weights in the order in which a matrix-vector unit asks for them, and the files that its ROMs are filled
from."""

import numpy as np
from numpy.typing import NDArray

from hw.geometry import WindowGeometry

from .beats import BeatFormat, lines

__all__ = ["MAX_ROM_WIDTH", "rom_lanes", "rom_text", "weight_steps"]

MAX_ROM_WIDTH = 576
"""Bits of a ROM row: wider rows are slow to load in simulation and no better in block RAM."""


def weight_steps(codes: NDArray[np.integer], window: WindowGeometry, pe: int) -> NDArray[np.uint8]:
    """Weight codes (out, kernel rows, kernel columns, in / groups) as (steps, pe, simd) in the line
    buffer's order.

    Places that no weight belongs to hold 0: their inputs are masked, or their sums are not sent.
    """
    _, _, groups, repeats, kernel_rows, kernel_columns, chunks = window.loops
    out = codes.shape[0] // groups
    runs = codes.reshape(groups, out, window.kernel[0], kernel_columns, window.pixel_run)
    lanes = window.simd // window.row_lanes
    padded = np.pad(
        runs,
        (
            (0, 0),
            (0, repeats * pe - out),
            (0, kernel_rows * window.row_lanes - window.kernel[0]),
            (0, 0),
            (0, chunks * lanes - window.pixel_run),
        ),
    )
    split = padded.reshape(groups, repeats, pe, kernel_rows, window.row_lanes, kernel_columns, chunks, lanes)
    ordered = split.transpose(0, 1, 3, 5, 6, 2, 4, 7)
    return np.ascontiguousarray(ordered.reshape(-1, pe, window.simd), dtype=np.uint8)


def rom_lanes(simd: int, bits: int) -> list[tuple[int, int]]:
    """The lanes [start, end) of each ROM of one PE: as few ROMs as the width allows."""
    most = MAX_ROM_WIDTH // bits
    return [(start, min(start + most, simd)) for start in range(0, simd, most)]


def rom_text(rows: NDArray[np.uint8], bits: int) -> bytes:
    """Rows (steps, lanes) of codes as the text of a ROM file: one hexadecimal word a line."""
    return lines(BeatFormat(rows.shape[1], bits).to_hex(rows))


def rom_words(rows: NDArray[np.uint8], bits: int) -> list[int]:
    """The same rows as integers, for a ROM whose contents stand in the design itself."""
    return [int(line, 16) for line in rom_text(rows, bits).split()]
