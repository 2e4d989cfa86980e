"""What every source gives: images and classes in three parts, split the same way in every run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codegen.errors import UserError

SPLIT_SEED = 0  # one split for all runs, whatever their seed: results stay comparable


@dataclass(frozen=True)
class Images:
    """Images of 8-bit pixels, uint8 (N, H, W, C), maybe memory-mapped, and their classes, int64 (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: NDArray[np.int64]) -> Images:
        """The images of `rows`, int64 (n,), in that order, copied into memory."""
        return Images(self.images[rows], self.labels[rows])


@dataclass(frozen=True)
class Dataset:
    """The parts of a data set: training sees `train`, choices rest on `validation`, `test` is held out.

    A label is the place of its class in `classes`.
    """

    description: str
    classes: tuple[str, ...]
    train: Images
    validation: Images
    test: Images


def set_aside(labels: NDArray[np.int64], validation: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`stratified` rows of training images; raises UserError if `validation` is more than half of them."""
    if validation > len(labels) // 2:
        raise UserError(
            f"data.validation must be at most {len(labels) // 2}, half of the training images, not "
            f"{validation}"
        )
    return stratified(labels, validation)


def stratified(labels: NDArray[np.int64], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All rows but `count`, and `count` rows: of every class its share, largest remainders rounded up."""
    random = np.random.RandomState(SPLIT_SEED)  # its stream is frozen by numpy's compatibility policy
    _, sizes = np.unique(labels, return_counts=True)
    exact = sizes * count / len(labels)
    takes = np.floor(exact).astype(np.int64)
    takes[np.argsort(takes - exact, kind="stable")[: count - int(takes.sum())]] += 1
    by_class = np.split(np.argsort(labels, kind="stable"), np.cumsum(sizes)[:-1])
    taken = np.zeros(len(labels), dtype=bool)
    for rows, take in zip(by_class, takes, strict=True):
        taken[random.permutation(rows)[:take]] = True
    return np.flatnonzero(~taken), np.flatnonzero(taken)


def described(title: str, train: Images, validation: Images, test: Images) -> str:
    """One line that says what the data are and how they were split."""
    side = test.images.shape[1]
    return (
        f"{title}, {side}x{side}, {len(train):,} training, {len(validation):,} validation, "
        f"{len(test):,} test, stratified, split seed {SPLIT_SEED}"
    )
