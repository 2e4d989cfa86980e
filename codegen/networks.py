"""Which network a name or a path stands for, and the images to show it."""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codegen.errors import UserError
from codegen.files import digest_of, read_toml
from codegen.ir import IntegerNetwork, TensorType, TestSet, load, load_test_set
from codegen.places import (
    NETWORK,
    RECIPES,
    RUNS,
    TEST_SET,
    check_ours,
    missing,
    network_file,
    recipe_name,
    shipped,
)
from codegen.program import run_child, spelled

from .untrained import definition, has_photographs, photographs, recipes, untrained

__all__ = ["Sample", "Source", "find_network"]

_RANDOM_IMAGES, _RANDOM_ELEMENTS = 64, 1 << 25
_PHOTOGRAPHS = 1000
_SHOWN_PHOTOGRAPHS = 8


@dataclass(frozen=True)
class Sample:
    """Some images (N, *input shape), as codes, their labels int64 (N,) if those are known, and what other
    networks answer."""

    images: NDArray[np.integer]
    labels: NDArray[np.int64] | None = None
    answers: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def correct(self, classes: NDArray[np.int64]) -> int | None:
        """How many of the classes (N,) are the labels; ``None`` if these are not known."""
        return None if self.labels is None else int((classes.reshape(-1) == self.labels).sum())


@dataclass(frozen=True)
class Source:
    """A network, the name that its build gets, and its held-out images if there are any.

    ``path`` is its file, or ``None`` for an untrained network, which was made here.
    """

    name: str
    path: Path | None
    network: IntegerNetwork
    test_set: TestSet | None

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of what the network and its images are: files, or what they are made
        from."""
        test = self.test_set
        parts = [] if test is None else [_sha256(test.images), _sha256(test.labels)]
        if self.path is None:
            return digest_of([definition(self.name), parts])
        return digest_of(parts, [self.path])

    @property
    def note(self) -> str | None:
        """What the user must know of an untrained network, in a few sentences; ``None`` for a file's."""
        if self.path is not None:
            return None
        if self.name in shipped():
            how = spelled("train", self.name)
        else:
            how = (
                f"copy a recipe of model/recipes to {self.name}.toml, change its bits, and "
                f"{spelled('train', self.name)}.toml"
            )
        return (
            f"{self.name} is untrained: its weights are random, its scales fit two photographs. Its shapes "
            f"and cycles are real; its classes mean nothing until it is trained. To train it: {how}"
        )

    @property
    def ends_in_a_class(self) -> bool:
        """Whether the network gives one class per image."""
        return self.network.types[self.network.nodes[-1].name].shape == ()

    def sample(self, count: int | None) -> Sample:
        """``count`` images, or as many as there are: held-out ones, of each class its share; or if there are
        none, crops of photographs (8 for ``None``, at most 1,000) where the network reads such, else seeded
        random codes.

        Fewer images are always the first of more. Raises ``UserError`` if there are fewer.
        """
        most = self._most_images()
        if count is not None and not 1 <= count <= most:
            raise UserError(
                f"images must be 1 to {most}, as many as there are for '{self.name}', not {count}"
            )
        if self.test_set is not None:
            some = self.test_set.sample(count or most)
            return Sample(some.images, some.labels, some.answers)
        if has_photographs(self.network.input):
            return Sample(photographs(self.network.input.shape, count or _SHOWN_PHOTOGRAPHS))
        return Sample(_random_images(self.network.input, count or most))

    def _most_images(self) -> int:
        if self.test_set is not None:
            return len(self.test_set.images)
        if has_photographs(self.network.input):
            return _PHOTOGRAPHS
        return max(1, min(_RANDOM_IMAGES, _RANDOM_ELEMENTS // self.network.input.elements))


def _sha256(array: NDArray[np.integer]) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def find_network(name: str) -> Source:
    """The network of a file, of a folder that training wrote, or of a recipe, by its name or its file: the
    trained one, which is trained now if its images are at hand, else an untrained one where that can be made.

    Raises ``UserError`` saying where it looked, and the nearest name there is, or that training failed.
    """
    path = network_file(name)
    if path is None and _can_be_trained_now(name):
        _train(name)
        path = RUNS / recipe_name(name) / NETWORK
    if path is not None:
        _compare_times(name, path)
        return _source(path)
    network = untrained(name)
    if network is not None:
        return Source(name, None, network, None)
    raise missing(name, recipes())


def _compare_times(name: str, path: Path) -> None:
    """Says so where a recipe's file was changed after its network had been trained."""
    if name.endswith(".toml") and Path(name).is_file() and Path(name).stat().st_mtime > path.stat().st_mtime:
        again = spelled("train", name)
        print(f"note: {name} is newer than {path}; to train it again: {again}", file=sys.stderr, flush=True)


def _can_be_trained_now(name: str) -> bool:
    """Whether it is a recipe whose images come with scikit-learn, and training is installed."""
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    if find_spec("torch") is None or not (path.is_file() and (name.endswith(".toml") or name in shipped())):
        return False
    data = read_toml(path, "recipe").get("data")
    return isinstance(data, dict) and data.get("source") == "digits"


def _train(name: str) -> None:
    """Train the recipe in another process. Raises ``UserError`` if that fails."""
    command = spelled("train", name)
    print(f"{name} is not trained yet, so first: {command}", file=sys.stderr, flush=True)
    status = run_child("train", name)
    if status != 0:
        raise UserError(f"training '{name}' must end with status 0, not {status}; {command} says more")


def _source(path: Path) -> Source:
    check_ours(path)
    network = load(path)
    beside = path.with_name(TEST_SET)
    test_set = load_test_set(beside) if beside.is_file() else None
    if test_set is not None and test_set.images.shape[1:] != network.input.shape:
        raise UserError(
            f"{beside} must hold images of shape {network.input.shape}, not {test_set.images.shape[1:]}; "
            f"it belongs to another network"
        )
    return Source(network.name, path, network, test_set)


def _random_images(type: TensorType, count: int) -> NDArray[np.integer]:
    """Images (count, *shape) in the smallest dtype that holds the input's range, drawn over all of it."""
    kinds = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.int64)
    kind = next(one for one in kinds if np.iinfo(one).min <= type.low and type.high <= np.iinfo(one).max)
    generator = np.random.default_rng(0)
    return generator.integers(type.low, type.high, (count, *type.shape), kind, endpoint=True)
