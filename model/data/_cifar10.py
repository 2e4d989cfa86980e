"""CIFAR-10 as its authors publish it (Python and binary version), or as pictures in folders."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL

from codegen.errors import UserError
from model.data._folders import PictureFolders, is_folder, listed
from model.data._parts import Dataset, Images, described, set_aside
from model.data._pickled import RECORD, pixels_and_labels
from model.data._pictures import scaled

TITLE = "CIFAR-10"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
LAYOUT = (
    "the folder with the Python version (files data_batch_1 to data_batch_5 and test_batch), with the binary "
    "version (data_batch_1.bin to data_batch_5.bin and test_batch.bin), or with ten folders of PNG or JPEG "
    "pictures in train/ and the same ten in test/; both versions are on the home page of its authors at the "
    "University of Toronto, and nothing is downloaded by itself"
)
_LARGEST = 1 << 28  # bytes of one file; the real ones have 31 million


@dataclass(frozen=True)
class Version:
    """A published form: the files of training, that of test, and how to read one (raises ValueError)."""

    training: tuple[str, ...]
    test: str
    parse: Callable[[bytes], tuple[bytes, list[int]]]


@dataclass(frozen=True)
class Archive:
    """The files of a published version in `folder`."""

    folder: Path
    version: Version
    title: str = TITLE
    classes: tuple[str, ...] = CLASSES

    def stamp(self, side: int) -> str:
        """Another text where `load` would read other images: sizes and times of the files."""
        parts = [f"Pillow {PIL.__version__}"]
        for name in (*self.version.training, self.version.test):
            status = _status(self.folder / name)
            parts.append(f"{name} {status.st_size} {status.st_mtime_ns}")
        return ", ".join(parts)

    def load(self, side: int, channels: int, validation: int) -> Dataset:
        """The published split, `validation` training images set aside; raises UserError for a broken file."""
        batches = [self._batch(name) for name in self.version.training]
        training = Images(
            np.concatenate([batch.images for batch in batches]),
            np.concatenate([batch.labels for batch in batches]),
        )
        rest, watched = set_aside(training.labels, validation)
        parts = (training[rest], training[watched], self._batch(self.version.test))
        train, aside, test = (Images(scaled(one.images, side, channels), one.labels) for one in parts)
        return Dataset(described(self.title, train, aside, test), self.classes, train, aside, test)

    def _batch(self, name: str) -> Images:
        path = self.folder / name
        try:
            pixels, labels = self.version.parse(_content(path))
            if min(labels) < 0 or max(labels) >= len(CLASSES):
                raise ValueError(f"its labels are {min(labels)}..{max(labels)} instead of 0..9")
        except ValueError as error:
            raise UserError(f"'{path}' must be a file of CIFAR-10, but: {error}; fetch it again") from error
        planes = np.frombuffer(pixels, np.uint8).reshape(-1, 3, 32, 32)
        return Images(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), np.array(labels, np.int64))


def binary(content: bytes) -> tuple[bytes, list[int]]:
    """Pixels and labels of the binary version: records of a label and 3072 bytes, in planes R, G, B."""
    if not content or len(content) % (RECORD + 1):
        raise ValueError(f"its {len(content)} bytes are no records of {RECORD + 1}")
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD + 1)
    return records[:, 1:].tobytes(), records[:, 0].tolist()


PYTHON = Version(tuple(f"data_batch_{n}" for n in range(1, 6)), "test_batch", pixels_and_labels)
BINARY = Version(tuple(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin", binary)


def locate(folder: Path | None) -> Archive | PictureFolders:
    """The CIFAR-10 in `folder` or its usual subfolder; raises UserError where there is none."""
    if folder is None:
        raise UserError(f"CIFAR-10 must be given by --data, but that was left out; it takes {LAYOUT}")
    places = [folder, folder / "cifar-10-batches-py", folder / "cifar-10-batches-bin"]
    for place in places:
        for version in (PYTHON, BINARY):
            if any((place / name).is_file() for name in (*version.training, version.test)):
                return Archive(place, version)
    for place in [folder, *_inside(folder)]:
        if _has_pictures(place):
            return _ten(listed(place, TITLE))
    raise UserError(
        f"--data must be {LAYOUT}; '{folder}' {'has none' if is_folder(folder) else 'is no folder'}"
    )


def _has_pictures(folder: Path) -> bool:
    return is_folder(folder / "train") and is_folder(folder / "test")


def _inside(folder: Path) -> list[Path]:
    """The one subfolder that has pictures, where it is one."""
    found = [entry for entry in folder.iterdir() if _has_pictures(entry)] if is_folder(folder) else []
    return found if len(found) == 1 else []


def _ten(found: PictureFolders) -> PictureFolders:
    if len(found.classes) != len(CLASSES):
        raise UserError(
            f"'{found.root / 'train'}' must have the ten classes of CIFAR-10, not {len(found.classes)}; set "
            'data.source = "images" for other pictures'
        )
    return found


def _content(path: Path) -> bytes:
    if (size := _status(path).st_size) > _LARGEST:
        raise ValueError(f"it has {size} bytes")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(error.strerror) from error


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise UserError(
            f"'{path}' must be a file of CIFAR-10, but: {error.strerror}; fetch it again"
        ) from error
