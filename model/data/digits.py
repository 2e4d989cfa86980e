"""The 1,797 handwritten digits of 8x8 pixels that come with scikit-learn."""

from __future__ import annotations

import hashlib
import zlib
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codegen.ir import UserError
from model.data.images import Images

FILE = "digits.csv.gz"
HELD_OUT = 360
_SIDE = 8


def digits(folder: Path | None, side: int) -> Images:
    """All digits, (N, side, side, 1): scikit-learn's copy, or its file digits.csv.gz in `folder`.

    The file has 64 values in 0..16 and the class on each line. A value v becomes the pixel
    `(255 v + 8) // 16`; other sizes than 8 are resampled. Raises UserError for a missing or broken file.
    """
    values, labels = _table(folder)
    pixels = ((255 * values + 8) // 16).astype(np.uint8).reshape(-1, _SIDE, _SIDE)
    if side != _SIDE:
        scaled = [Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC) for one in pixels]
        pixels = np.stack([np.asarray(one) for one in scaled])
    return Images(pixels[..., None], labels)


def digits_fingerprint(folder: Path | None) -> str:
    """A text that is another one where `digits` would read other images."""
    if folder is None:
        return f"scikit-learn {metadata.version('scikit-learn')}"
    try:
        return hashlib.sha256((folder / FILE).read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(
            f"the digits must be in '{folder / FILE}', but: {error.strerror}; leave --data out "
            f"to use scikit-learn's copy"
        ) from error


def _table(folder: Path | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if folder is None:
        from sklearn.datasets import load_digits  # a second to import, and only needed here

        values, labels = load_digits(return_X_y=True)
        return values.astype(np.int64), labels.astype(np.int64)
    path = folder / FILE
    try:
        table = np.loadtxt(path, delimiter=",", ndmin=2)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise UserError(f"'{path}' must be the file that scikit-learn ships, but: {error}") from error
    values, labels = table[:, :-1].astype(np.int64), table[:, -1].astype(np.int64)
    lines = 2 * HELD_OUT
    if table.shape[1] != 65 or len(table) < lines or not _in_range(values, 16) or not _in_range(labels, 9):
        raise UserError(
            f"'{path}' must hold {lines} lines or more of 64 values in 0..16 and a class in 0..9, "
            f"not {table.shape[0]} lines of {table.shape[1]} values in {table.min():g}..{table.max():g}"
        )
    return values, labels


def _in_range(values: NDArray[np.int64], high: int) -> bool:
    return bool(values.min(initial=0) >= 0 and values.max(initial=0) <= high)
