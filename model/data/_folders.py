"""Pictures in one folder per class."""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from codegen.errors import UserError
from codegen.pictures import SUFFIXES
from model.data._cache import decoded_once
from model.data._parts import Dataset, Images, described, set_aside

LAYOUT = (
    "a folder with the pictures for training in train/<class>/ and those held out in test/<class>/ or "
    f"val/<class>/, as {', '.join(SUFFIXES)}; ImageNet, for one, is at image-net.org after registration, and "
    "nothing is downloaded by itself"
)


@dataclass(frozen=True)
class Part:
    """The pictures of one part, class by class: paths below the root, labels int64 (N,), sizes and times."""

    names: list[str]
    labels: NDArray[np.int64]
    stamps: list[str]


@dataclass(frozen=True)
class PictureFolders:
    """Pictures below `root`, of which `test` is held out."""

    root: Path
    title: str
    classes: tuple[str, ...]
    training: Part
    test: Part

    def stamp(self, side: int) -> str:
        """Another text where `load` would read other images: paths, sizes and times of the pictures."""
        digest = hashlib.sha256()
        for part in (self.training, self.test):
            for name, stamp in zip(part.names, part.stamps, strict=True):
                digest.update(os.fsencode(f"{name}\0{stamp}\0"))
        return f"Pillow {PIL.__version__}, {digest.hexdigest()}"

    def load(self, side: int, channels: int, validation: int) -> Dataset:
        """The parts as memory-mapped images; decodes every picture if that was not done before.

        Raises UserError for a picture that cannot be decoded and where they cannot be kept.
        """
        rest, aside = set_aside(self.training.labels, validation)
        order = np.concatenate([rest, aside])
        names = [self.training.names[row] for row in order.tolist()] + self.test.names
        labels = np.concatenate([self.training.labels[order], self.test.labels])
        key = f"{self.stamp(side)} side {side} channels {channels} validation {validation}"
        images = decoded_once(key, self.root, names, labels, side, channels)
        ends = [0, len(rest), len(rest) + len(aside), len(names)]
        parts = [Images(images[a:b], labels[a:b]) for a, b in itertools.pairwise(ends)]
        return Dataset(described(self.title, *parts), self.classes, *parts)


def listed(root: Path, name: str) -> PictureFolders:
    """All pictures below `root`, called `name`; raises UserError unless they lie as LAYOUT says."""
    held_out = next((part for part in ("test", "val") if _inside(root / part)), None)
    classes = _inside(root / "train")
    if not classes or held_out is None:
        raise UserError(f"--data must be {LAYOUT}; '{root}' {_lack(root)}")
    if other := sorted(set(classes) ^ set(_inside(root / held_out))):
        raise UserError(
            f"'{root / held_out}' must have the same folders as '{root / 'train'}', but '{other[0]}' "
            f"is in one only ({len(other)} such); move the pictures"
        )
    training, test = (_part(root, part, classes) for part in ("train", held_out))
    formats = {"PNG" if one.lower().endswith(".png") else "JPEG" for one in training.names + test.names}
    title = f"{name} from {' and '.join(sorted(formats))} pictures"
    return PictureFolders(root, title, tuple(classes), training, test)


def is_folder(path: Path) -> bool:
    """Whether there is a folder that may be looked into."""
    return path.is_dir() and os.access(path, os.R_OK | os.X_OK)


def _inside(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted; hidden ones are none of ours."""
    if not is_folder(folder):
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _part(root: Path, part: str, classes: list[str]) -> Part:
    names: list[str] = []
    stamps: list[str] = []
    counts: list[int] = []
    for one in classes:
        folder = root / part / one
        try:
            found = sorted(_pictures(folder))
        except OSError as error:
            raise UserError(
                f"'{error.filename}' must be readable, but: {error.strerror}; mend or remove it"
            ) from error
        if not found:
            raise UserError(f"'{folder}' must have pictures ({', '.join(SUFFIXES)}), but has none; add some")
        names += [f"{part}/{one}/{name}" for name, _ in found]
        stamps += [stamp for _, stamp in found]
        counts.append(len(found))
    return Part(names, np.repeat(np.arange(len(classes)), counts).astype(np.int64), stamps)


def _pictures(folder: Path) -> list[tuple[str, str]]:
    """Name, and size and time, of every picture in a folder."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith("."):
                status = entry.stat()
                if not stat.S_ISREG(status.st_mode):  # to open a pipe would wait for ever
                    raise UserError(f"'{entry.path}' must be a file; remove it or give it another ending")
                found.append((entry.name, f"{status.st_size} {status.st_mtime_ns}"))
    return found


def _lack(root: Path) -> str:
    if not is_folder(root):
        return "is no folder that can be read"
    part = "train/" if not _inside(root / "train") else "test/ or val/"
    return f"has no {part} with a folder per class"
