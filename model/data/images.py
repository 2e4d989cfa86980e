"""Images with their classes, and their split into parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codegen.ir import UserError

SPLIT_SEED = 0  # one split for all runs, whatever their seed: results stay comparable


@dataclass(frozen=True)
class Images:
    """8-bit pixels, uint8 (N, H, W, C), maybe mapped from a file, and classes, int64 (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: NDArray[np.int64]) -> Images:
        return Images(self.images[rows], self.labels[rows])


@dataclass(frozen=True)
class Part:
    """Some rows of images, which are only read when they are asked for."""

    of: Images
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: NDArray[np.int64]) -> Images:
        return self.of[self.rows[rows]]


@dataclass(frozen=True)
class Dataset:
    """The parts of a data set: training sees `train`, choices rest on `validation`, `test` is held out."""

    description: str
    classes: tuple[str, ...]
    train: Part
    validation: Part
    test: Part


def whole(images: Images) -> Part:
    """All of the images."""
    return Part(images, np.arange(len(images)))


def set_aside(part: Part, count: int, what: str) -> tuple[Part, Part]:
    """All but `count` images, and `count` images: of every class its share, largest remainders rounded up.

    Raises UserError, which says `what` must be smaller, for more than half of the images.
    """
    if count > len(part) // 2:
        raise UserError(f"{what} must be at most {len(part) // 2}, half of the images, not {count}")
    random = np.random.RandomState(SPLIT_SEED)  # its stream is frozen by numpy's compatibility policy
    labels = part.of.labels[part.rows]
    _, sizes = np.unique(labels, return_counts=True)
    exact = sizes * count / len(part)
    takes = np.floor(exact).astype(np.int64)
    takes[np.argsort(takes - exact, kind="stable")[: count - int(takes.sum())]] += 1
    taken = np.zeros(len(part), dtype=bool)
    by_class = np.split(np.argsort(labels, kind="stable"), np.cumsum(sizes)[:-1])
    for members, take in zip(by_class, takes, strict=True):
        taken[random.permutation(members)[:take]] = True
    return Part(part.of, part.rows[~taken]), Part(part.of, part.rows[taken])
