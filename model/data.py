"""The images: where they come from, and how they are split."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codegen.ir import UserError

TEST_IMAGES = 360
SPLIT_SEED = 0  # one split for all runs, whatever their seed: results stay comparable
DIGITS_FILE = "digits.csv.gz"


@dataclass(frozen=True)
class Images:
    """Images as codes, uint8 (N, H, W, C), and their classes, int64 (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: NDArray[np.int64]) -> Images:
        return Images(self.images[rows], self.labels[rows])


@dataclass(frozen=True)
class Dataset:
    """The parts of a data set: training sees `train`, choices rest on `validation`, `test` is held out."""

    description: str
    train: Images
    validation: Images
    test: Images


def digits(folder: Path | None, input_bits: int, validation: int) -> Dataset:
    """The 1,797 handwritten digits of 8x8 pixels: 360 held out, and of the rest `validation` set aside.

    They come from scikit-learn, or from its file digits.csv.gz in `folder` (64 values in 0..16 and the class
    on each line). A value v becomes the code `(v * (2^input_bits - 1) + 8) // 16`. Every seed has the same
    split. Raises UserError for a missing or broken file.
    """
    values, labels = _digits_table(folder)
    codes = (values * (2**input_bits - 1) + 8) // 16
    everything = Images(codes.reshape(-1, 8, 8, 1).astype(np.uint8), labels)
    rest, test = _stratified(everything, TEST_IMAGES)
    if validation > len(rest) // 2:
        raise UserError(
            f"data.validation must be at most {len(rest) // 2}, half of the training images, not {validation}"
        )
    train, watched = _stratified(rest, validation)
    text = (
        f"scikit-learn digits, 8x8, {input_bits}-bit codes, {len(train)} training, {validation} validation, "
        f"{len(test)} test, stratified, split seed {SPLIT_SEED}"
    )
    return Dataset(text, train, watched, test)


def digits_fingerprint(folder: Path | None) -> str:
    """A text that is another one where `digits` would read other images."""
    if folder is None:
        return f"scikit-learn {metadata.version('scikit-learn')}"
    try:
        return hashlib.sha256((folder / DIGITS_FILE).read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(
            f"the digits must be in '{folder / DIGITS_FILE}', but: {error.strerror}; leave --data out "
            f"to use scikit-learn's copy"
        ) from error


def _digits_table(folder: Path | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if folder is None:
        from sklearn.datasets import load_digits  # a second to import, and only needed here

        values, labels = load_digits(return_X_y=True)
        return values.astype(np.int64), labels.astype(np.int64)
    path = folder / DIGITS_FILE
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


def _stratified(images: Images, count: int) -> tuple[Images, Images]:
    """All but `count` images, and `count` images: of every class its share, largest remainders rounded up."""
    random = np.random.RandomState(SPLIT_SEED)  # its stream is frozen by numpy's compatibility policy
    classes, sizes = np.unique(images.labels, return_counts=True)
    exact = sizes * count / len(images)
    takes = np.floor(exact).astype(np.int64)
    takes[np.argsort(takes - exact, kind="stable")[: count - int(takes.sum())]] += 1
    taken = np.zeros(len(images), dtype=bool)
    for label, take in zip(classes, takes, strict=True):
        taken[random.permutation(np.flatnonzero(images.labels == label))[:take]] = True
    return images[np.flatnonzero(~taken)], images[np.flatnonzero(taken)]
