"""The handwritten digits that come with scikit-learn."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from codegen.errors import UserError
from model.data._parts import Dataset, Images, described, set_aside, stratified
from model.data._pictures import scaled

TEST_IMAGES = 360
SIDE = 8
FILE = "digits.csv.gz"


@dataclass(frozen=True)
class Digits:
    """The 1,797 digits of 8x8 pixels: scikit-learn's copy, or its file digits.csv.gz in `folder`."""

    folder: Path | None
    title: str = "scikit-learn digits"
    classes: tuple[str, ...] = tuple("0123456789")

    def stamp(self, side: int) -> str:
        """Another text where `load` would read other images."""
        scaling = "" if side == SIDE else f", Pillow {PIL.__version__}"
        if self.folder is None:
            return f"scikit-learn {metadata.version('scikit-learn')}{scaling}"
        try:
            return hashlib.sha256((self.folder / FILE).read_bytes()).hexdigest() + scaling
        except OSError as error:
            raise UserError(
                f"the digits must be in '{self.folder / FILE}', but: {error.strerror}; leave --data out "
                f"to use scikit-learn's copy"
            ) from error

    def load(self, side: int, channels: int, validation: int) -> Dataset:
        """360 digits held out, and `validation` of the rest set aside.

        The file has 64 values in 0..16 and the class on each line; a value v becomes the pixel
        `(v * 255 + 8) // 16`. Raises UserError for a missing or broken file, and unless `channels` is 1.
        """
        if channels != 1:
            raise UserError(
                f"the digits have 1 channel, but the network takes {channels}; choose another "
                "network.name or data.source"
            )
        values, labels = _table(self.folder)
        pixels = ((values * 255 + 8) // 16).astype(np.uint8).reshape(-1, SIDE, SIDE, 1)
        everything = Images(scaled(pixels, side, channels), labels)
        rest, held_out = (everything[rows] for rows in stratified(labels, TEST_IMAGES))
        train, watched = (rest[rows] for rows in set_aside(rest.labels, validation))
        return Dataset(
            described(self.title, train, watched, held_out), self.classes, train, watched, held_out
        )


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
    if (
        table.shape[1] != 65
        or len(table) < 2 * TEST_IMAGES
        or not _in_range(values, 16)
        or not _in_range(labels, 9)
    ):
        raise UserError(
            f"'{path}' must hold {2 * TEST_IMAGES} lines or more of 64 values in 0..16 and a class in 0..9, "
            f"not {table.shape[0]} lines of {table.shape[1]} values in {table.min():g}..{table.max():g}"
        )
    return values, labels


def _in_range(values: NDArray[np.int64], high: int) -> bool:
    return bool(values.min(initial=0) >= 0 and values.max(initial=0) <= high)
