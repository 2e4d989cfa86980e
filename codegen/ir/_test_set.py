"""Held-out images with their labels, as training writes them for hardware runs."""

import os
from dataclasses import dataclass

import numpy as np

from codegen.ir._container import read_container, write_container
from codegen.ir._errors import IrError
from codegen.ir._types import CodeArray, IntArray, frozen


@dataclass(frozen=True, eq=False)
class TestSet:
    """images: uint8 (N, H, W, C), the codes a network reads; labels: int64 (N,), at least 0. Kept read-only.

    Raises IrError for any other dtype or shape.
    """

    __test__ = False  # pytest takes any class called Test... for tests

    images: CodeArray
    labels: IntArray

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise IrError(
                "a test set's images must be uint8 of shape (N, H, W, C), "
                f"not {self.images.dtype} of shape {self.images.shape}"
            )
        if self.labels.dtype != np.int64 or self.labels.shape != self.images.shape[:1]:
            raise IrError(
                f"a test set's labels must be int64 of shape {self.images.shape[:1]}, one an image, "
                f"not {self.labels.dtype} of shape {self.labels.shape}"
            )
        if self.labels.size and int(self.labels.min()) < 0:
            raise IrError(f"a test set's labels must be at least 0, not {self.labels.min()}")
        object.__setattr__(self, "images", frozen(self.images, np.uint8))
        object.__setattr__(self, "labels", frozen(self.labels, np.int64))


def save_test_set(test_set: TestSet, path: str | os.PathLike[str]) -> None:
    """Write the test set to one file, atomically; equal test sets give equal bytes. Raises UserError."""
    write_container(path, "test set", {}, {"images": test_set.images, "labels": test_set.labels})


def load_test_set(path: str | os.PathLike[str]) -> TestSet:
    """Read a test set that `save_test_set` wrote; any other file raises IrError."""
    try:
        file = read_container(path, "test set")
        test_set = TestSet(file.take("images", np.uint8), file.take("labels", np.int64))
        file.finish()
    except IrError as error:
        raise IrError(f"test set file '{os.fspath(path)}': {error}") from error
    return test_set
