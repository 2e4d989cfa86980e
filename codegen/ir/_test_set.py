"""Held-out images with their labels, as training writes them for hardware runs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from codegen.ir._container import Tensors, read_container, write_container
from codegen.ir._errors import IrError
from codegen.ir._network import check_classes, check_name
from codegen.ir._types import CodeArray, IntArray, frozen

_SEED = 0  # one order for all runs, so that what is counted over some images can be compared
_ANSWERS = "answers."


@dataclass(frozen=True, eq=False)
class TestSet:
    """images: uint8 (N, H, W, C), the codes a network reads; labels: int64 (N,), at least 0. Kept read-only.

    `classes`: what the labels stand for, if that is known. `answers`: the classes, int64 (N,), that networks
    other than the integer network give for the images, by their names.
    Raises IrError for any other dtype or shape.
    """

    __test__ = False  # pytest takes any class called Test... for tests

    images: CodeArray
    labels: IntArray
    classes: tuple[str, ...] = ()
    answers: Mapping[str, IntArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or not self.images.size:
            raise IrError(
                "a test set's images must be uint8 of shape (N, H, W, C), at least one, "
                f"not {self.images.dtype} of shape {self.images.shape}"
            )
        check_classes(self.classes)
        self._check_labels(self.labels, "labels")
        for name, labels in self.answers.items():
            check_name(name, "the name of a test set's answers")
            self._check_labels(labels, f"answers of '{name}'")
        object.__setattr__(self, "images", frozen(self.images, np.uint8))
        object.__setattr__(self, "labels", frozen(self.labels, np.int64))
        answers = {name: frozen(labels, np.int64) for name, labels in self.answers.items()}
        object.__setattr__(self, "answers", MappingProxyType(answers))

    def _check_labels(self, labels: npt.NDArray[Any], what: str) -> None:
        if labels.dtype != np.int64 or labels.shape != self.images.shape[:1]:
            raise IrError(
                f"a test set's {what} must be int64 of shape {self.images.shape[:1]}, one per image, "
                f"not {labels.dtype} of shape {labels.shape}"
            )
        if int(labels.min()) < 0:
            raise IrError(f"a test set's {what} must be at least 0, not {labels.min()}")
        if self.classes and int(labels.max()) >= len(self.classes):
            raise IrError(
                f"a test set's {what} must be below {len(self.classes)}, the number of its classes, "
                f"not {labels.max()}"
            )

    def sample(self, count: int) -> "TestSet":
        """The first `count` images in the order of `spread`, or all if there are no more."""
        rows = self._order[:count]
        answers = {name: labels[rows] for name, labels in self.answers.items()}
        return TestSet(self.images[rows], self.labels[rows], self.classes, answers)

    @cached_property
    def _order(self) -> IntArray:
        return spread(self.labels)


def spread(labels: IntArray) -> IntArray:
    """All rows of labels, int64 (N,), in an order in which every beginning has of each class its share.

    Those of a class are in random order, always the same, between those of the others.
    """
    random = np.random.RandomState(_SEED)  # its stream is frozen by numpy's compatibility policy
    shuffled = random.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    _, sizes = np.unique(labels, return_counts=True)
    places = np.concatenate([np.zeros(0), *((np.arange(size) + 0.5) / size for size in sizes)])
    turns = random.permutation(len(sizes)).repeat(sizes)  # which class comes first among equal places
    order: IntArray = by_class[np.lexsort((turns, places))]
    return order


def save_test_set(test_set: TestSet, path: str | os.PathLike[str]) -> None:
    """Write the test set to one file, atomically; equal test sets give equal bytes. Raises UserError."""
    tensors: Tensors = {"images": test_set.images, "labels": test_set.labels}
    tensors |= {f"{_ANSWERS}{name}": labels for name, labels in test_set.answers.items()}
    write_container(path, "test set", {"classes": list(test_set.classes)}, tensors)


def load_test_set(path: str | os.PathLike[str]) -> TestSet:
    """Read a test set that `save_test_set` wrote; any other file raises IrError."""
    try:
        file = read_container(path, "test set")
        expected = {"classes"} if file.version > 1 else set()
        if set(file.body) != expected or type(file.body.get("classes", [])) is not list:
            raise IrError("the body of a test set must hold a list of classes, and nothing else")
        names = [name for name in file.tensors if name.startswith(_ANSWERS)]
        answers = {name.removeprefix(_ANSWERS): file.take(name, np.int64) for name in sorted(names)}
        images, labels = file.take("images", np.uint8), file.take("labels", np.int64)
        test_set = TestSet(images, labels, tuple(file.body.get("classes", [])), answers)
        file.finish()
    except IrError as error:
        raise IrError(f"test set file '{os.fspath(path)}': {error}") from error
    return test_set
