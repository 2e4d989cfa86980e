"""Any source by its name in a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from codegen.errors import UserError
from model import recipe as recipes
from model.data import _cifar10
from model.data._digits import Digits
from model.data._folders import LAYOUT, listed
from model.data._parts import SPLIT_SEED, Dataset


class Origin(Protocol):
    """A data set that was found but not read yet."""

    @property
    def title(self) -> str: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    def stamp(self, side: int) -> str: ...
    def load(self, side: int, channels: int, validation: int) -> Dataset: ...


def read(data: recipes.Data, side: int, channels: int, classes: int, folder: Path | None) -> Dataset:
    """The images that `data` names: `side` pixels wide and high, 1 or 3 `channels`, `classes` classes.

    `folder` is where they are, None if it was not given: the digits then come from scikit-learn. Images are
    8-bit pixels, those of picture folders memory-mapped; the test part is what the source holds out, and
    `data.validation` images are taken out of training, of each class its share, the same ones in every run.
    Raises UserError for data that are missing, broken or do not suit the network.
    """
    origin = _origin(data.source, folder)
    if len(origin.classes) != classes:
        found = len(origin.classes)
        raise UserError(
            f"network.classes must be {found}, the number of classes in the data, not {classes}; set "
            f"network.classes = {found}"
        )
    return origin.load(side, channels, data.validation)


def fingerprint(data: recipes.Data, side: int, folder: Path | None) -> str:
    """A text that is another one where `read` would give other images; no image is decoded for it."""
    origin = _origin(data.source, folder)
    split = f"validation {data.validation}, split seed {SPLIT_SEED}"
    return f"{origin.title}, {side}x{side}, {split}, {origin.stamp(side)}"


def _origin(source: recipes.Source, folder: Path | None) -> Origin:
    match source:
        case recipes.Source.DIGITS:
            return Digits(folder)
        case recipes.Source.CIFAR10:
            return _cifar10.locate(folder)
        case recipes.Source.IMAGES:
            if folder is None:
                raise UserError(f"pictures must be given by --data, but that was left out; it takes {LAYOUT}")
            return listed(folder, folder.resolve().name)
