"""Decoded pictures, kept in the user's cache folder and mapped into memory."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tokenize
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track

from codegen.errors import UserError
from model.data._pictures import decoded

_DAMAGED = (OSError, ValueError, EOFError, OverflowError, SyntaxError, TypeError, tokenize.TokenError)
_CODE = 1  # to be raised when `decoded` gives other pixels: those kept are then none of its
_CHUNK = 32  # pictures a task: few enough that Ctrl-C is heard soon


def decoded_once(
    key: str, root: Path, names: list[str], labels: NDArray[np.int64], side: int, channels: int
) -> NDArray[np.uint8]:
    """The pictures `names` below `root` as pixels (N, side, side, channels), memory-mapped, read-only.

    They are decoded the first time that `key` is seen, and kept with their labels in two .npy files. Raises
    UserError for a picture that cannot be decoded, and where the files cannot be written.
    """
    shape = (len(names), side, side, channels)
    try:
        folder = _folder()
        file = folder / f"{hashlib.sha256(f'{key} code {_CODE}'.encode()).hexdigest()}.npy"
        if (images := _kept(file, shape, labels)) is not None:
            return images
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(file.with_suffix(".lock")):
            if _kept(file, shape, labels) is None:  # else another process has made it meanwhile
                _check_room(folder, shape)
                _keep(file, root, names, labels, shape)
            images = _kept(file, shape, labels)
    except OSError as error:
        raise UserError(
            f"decoded pictures must be kept in '{_folder()}', but: {error.strerror}; mend that or set "
            "XDG_CACHE_HOME to another folder"
        ) from error
    if images is None:
        raise UserError(f"'{file}' must stay as it was written, but was changed at once; try again")
    return images


def _folder() -> Path:
    named = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(named) if os.path.isabs(named) else Path.home() / ".cache") / "intandem"


def _labels_of(file: Path) -> Path:
    return file.with_suffix(".labels.npy")


def _kept(file: Path, shape: tuple[int, ...], labels: NDArray[np.int64]) -> NDArray[np.uint8] | None:
    """What `_keep` wrote, None if it is not there or anything else."""
    try:
        images = np.lib.format.open_memmap(file, mode="r")  # which never unpickles
        beside = np.lib.format.open_memmap(_labels_of(file), mode="r")
    except _DAMAGED:
        return None
    whole = images.shape == shape and images.dtype == np.uint8 and images.flags.c_contiguous
    return images if whole and np.array_equal(beside, labels) else None


def _keep(
    file: Path, root: Path, names: list[str], labels: NDArray[np.int64], shape: tuple[int, ...]
) -> None:
    """Write both files under other names, and only when all is there give them theirs."""
    part, beside = file.with_suffix(".part"), _labels_of(file).with_suffix(".part")
    try:
        images = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        _decode(root, names, images)
        images.flush()
        del images
        with open(beside, "wb") as stream:
            np.save(stream, labels, allow_pickle=False)
        for path in (part, beside):
            _sync(path)
        os.replace(beside, _labels_of(file))
        os.replace(part, file)
    finally:
        for path in (part, beside):
            path.unlink(missing_ok=True)


def _decode(root: Path, names: list[str], images: NDArray[np.uint8]) -> None:
    """Fill `images` (N, side, side, channels) with the pictures, on all cores: Pillow releases the lock."""
    side, channels = images.shape[2:]

    def fill(start: int) -> None:
        for row in range(start, min(start + _CHUNK, len(names))):
            images[row] = decoded(root / names[row], side, channels)

    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata: the pixels are what counts
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            chunks = range(0, len(names), _CHUNK)
            text = f"decoding {len(names):,} pictures once"
            for _ in track(pool.map(fill, chunks), text, len(chunks), console=Console(stderr=True)):
                pass
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time in; a process that dies lets go."""
    with open(path, "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            Console(stderr=True).print("waiting for another process that decodes the same pictures")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_room(folder: Path, shape: tuple[int, ...]) -> None:
    """A write beyond a full disk through mapped memory would end the process without a word."""
    needed, free = int(np.prod(shape)), shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"decoded pictures take {needed / 1e9:.1f} GB, but '{folder}' has {free / 1e9:.1f} GB left; "
            "make room or set XDG_CACHE_HOME to another folder"
        )


def _sync(path: Path) -> None:
    with open(path, "rb+") as stream:
        os.fsync(stream.fileno())
