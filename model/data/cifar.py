"""CIFAR-10 in the two layouts of its authors; the one in pickles is read without unpickling anything."""

from __future__ import annotations

import pickletools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codegen.ir import UserError
from model.data.images import Images

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PYTHON = (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch")
BINARY = (*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin")
_PIXELS = 3 * 32 * 32
_INTEGERS = ("BININT1", "BININT2", "BININT", "INT")


def read_python(folder: Path) -> tuple[Images, Images]:
    """Training and test images (N, 32, 32, 3) of the "python version"; raises UserError for a broken file."""
    return _parts([_from_pickle(folder / name) for name in PYTHON])


def read_binary(folder: Path) -> tuple[Images, Images]:
    """Training and test images (N, 32, 32, 3) of the "binary version"; raises UserError for a broken file."""
    return _parts([_from_binary(folder / name) for name in BINARY])


def _parts(batches: list[Images]) -> tuple[Images, Images]:
    images = np.concatenate([batch.images for batch in batches[:-1]])
    return Images(images, np.concatenate([batch.labels for batch in batches[:-1]])), batches[-1]


def _from_binary(path: Path) -> Images:
    content = np.frombuffer(_content(path), np.uint8)
    if not content.size or content.size % (1 + _PIXELS):
        raise UserError(f"'{path}' must hold records of {1 + _PIXELS} bytes, not {content.size} bytes")
    records = content.reshape(-1, 1 + _PIXELS)
    return _images(path, records[:, 1:].copy(), records[:, 0].astype(np.int64))


def _from_pickle(path: Path) -> Images:
    """The one text of pixels and the list of labels, picked from the opcodes, which do nothing here."""
    pixels, in_labels = b"", False
    labels: list[int] = []
    try:
        for opcode, argument, _ in pickletools.genops(_content(path)):
            if isinstance(argument, str | bytes | bytearray):
                some = argument.encode("latin-1") if isinstance(argument, str) else bytes(argument)
                in_labels = some == b"labels"
                pixels = max(pixels, some, key=len)
            elif in_labels and isinstance(argument, int) and opcode.name in _INTEGERS:
                labels.append(argument)
    except ValueError as error:
        raise UserError(f"'{path}' must be a batch of CIFAR-10's python version, but: {error}") from error
    if not labels or len(pixels) != len(labels) * _PIXELS:
        raise UserError(
            f"'{path}' must be a batch of CIFAR-10's python version with {_PIXELS} bytes for each of its "
            f"{len(labels)} labels, not {len(pixels)}"
        )
    return _images(path, np.frombuffer(pixels, np.uint8), np.array(labels))


def _images(path: Path, planes: NDArray[np.uint8], labels: NDArray[np.int64]) -> Images:
    if labels.min() < 0 or labels.max() >= len(CLASSES):
        raise UserError(f"'{path}' must have labels in 0..9, not {labels.min()}..{labels.max()}")
    return Images(np.ascontiguousarray(planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"'{path}' must be a file that can be read, but: {error.strerror}") from error
