"""Decoded pictures, kept in the user's cache folder and mapped into memory."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from codegen.errors import UserError
from codegen.files import digest_of, made, user_cache
from codegen.pictures import Fit, decoded, without_warnings

_CODE = 1  # to be raised when `decoded` gives other pixels: those kept are then none of its
_CHUNK = 32  # pictures a task: few enough that Ctrl-C is heard soon
_IMAGES = "images.npy"


def decoded_once(
    key: str, root: Path, names: list[str], labels: NDArray[np.int64], side: int, channels: int
) -> NDArray[np.uint8]:
    """The pictures `names` below `root` as pixels (N, side, side, channels), memory-mapped, read-only.

    They are decoded the first time that `key` and the labels are seen, and kept. Raises UserError for a
    picture that cannot be decoded, and where they cannot be kept.
    """
    shape = (len(names), side, side, channels)
    whole = digest_of([key, _CODE, shape, labels.tobytes()])
    folder = user_cache() / f"pictures-{whole[:32]}"

    def make(new: Path) -> None:
        _check_room(new.parent, shape)
        images = np.lib.format.open_memmap(new / _IMAGES, mode="w+", dtype=np.uint8, shape=shape)
        _decode(root, names, images)
        images.flush()

    try:
        with made(folder, whole, make):
            return np.lib.format.open_memmap(folder / _IMAGES, mode="r")  # which never unpickles
    except OSError as error:
        raise UserError(
            f"decoded pictures must be kept in '{user_cache()}', but: {error.strerror}; mend that or set "
            "XDG_CACHE_HOME to another folder"
        ) from error


def _decode(root: Path, names: list[str], images: NDArray[np.uint8]) -> None:
    """Fill `images` (N, side, side, channels) with the pictures, on all cores: Pillow releases the lock."""
    fit = Fit(*images.shape[1:])

    def fill(start: int) -> None:
        for row in range(start, min(start + _CHUNK, len(names))):
            images[row] = decoded(root / names[row], fit)

    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        with without_warnings():
            chunks = range(0, len(names), _CHUNK)
            text = f"decoding {len(names):,} pictures once"
            for _ in track(pool.map(fill, chunks), text, len(chunks), console=Console(stderr=True)):
                pass
    finally:
        pool.shutdown(cancel_futures=True)


def _check_room(folder: Path, shape: tuple[int, ...]) -> None:
    """A write beyond a full disk through mapped memory would end the process without a word."""
    needed, free = int(np.prod(shape)), shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"decoded pictures take {needed / 1e9:.1f} GB, but '{folder}' has {free / 1e9:.1f} GB left; "
            "make room or set XDG_CACHE_HOME to another folder"
        )
