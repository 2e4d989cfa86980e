"""Folders of pictures, decoded once into a file that later runs map into memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from rich.console import Console
from rich.progress import Progress

from codegen.ir import UserError
from model.data.images import Images

_ENDINGS = (".png", ".jpg", ".jpeg")
_HELD_OUT = ("test", "val")  # what the folder of held-out pictures may be called


@dataclass(frozen=True)
class Listing:
    """The pictures of one part: paths and classes, sorted, and the names of the classes."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]

    def fingerprint(self) -> str:
        """Another text whenever a picture is another one, by its place, size and time."""
        digest = hashlib.sha256()
        for path in self.paths:
            status = path.stat()
            digest.update(
                f"{path.parent.name}/{path.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode()
            )
        return digest.hexdigest()


def has_layout(folder: Path) -> bool:
    """Whether there are train/ and test/ or val/."""
    return (folder / "train").is_dir() and any((folder / name).is_dir() for name in _HELD_OUT)


def listings(folder: Path) -> tuple[Listing, Listing]:
    """The pictures to learn from, and those held out; raises UserError unless both have the same classes."""
    held_out = next(folder / name for name in _HELD_OUT if (folder / name).is_dir())
    train, test = _listing(folder / "train"), _listing(held_out)
    if train.classes != test.classes:
        odd = sorted(set(train.classes) ^ set(test.classes))
        raise UserError(
            f"'{held_out}' must have the same folders as '{folder / 'train'}', but '{odd[0]}' is in one only"
        )
    return train, test


def _listing(folder: Path) -> Listing:
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    found = [(path, label) for label, name in enumerate(classes) for path in _pictures(folder / name)]
    if not found:
        raise UserError(f"'{folder}' must hold pictures as <class>/<name>.png or .jpg, but holds none")
    paths, labels = zip(*found, strict=True)
    return Listing(paths, labels, tuple(classes))


def _pictures(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.suffix.lower() in _ENDINGS)


def cached(listing: Listing, side: int, channels: int, fingerprint: str) -> Images:
    """The pictures, (N, side, side, channels), from the cache, into which they are decoded once.

    The short side is scaled to `side`, the middle is cut out. Raises UserError for a picture that cannot be
    decoded.
    """
    shape = len(listing.paths), side, side, channels
    key = hashlib.sha256(f"{fingerprint}/{shape}".encode()).hexdigest()
    path = _cache_folder() / f"{key}.npy"
    mapped = _open(path, shape)
    if mapped is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _decode_all(listing, path, shape)
        mapped = _open(path, shape)
        assert mapped is not None, "what was just written can be read"
    return Images(mapped, np.array(listing.labels))


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "intandem"


def _open(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """The file, mapped, if it is there and whole."""
    try:
        mapped = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError):
        return None
    return mapped if mapped.shape == shape and mapped.dtype == np.uint8 else None


def _decode_all(listing: Listing, path: Path, shape: tuple[int, ...]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        pictures = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        with ThreadPoolExecutor(os.cpu_count()) as pool, Progress(console=Console(stderr=True)) as bar:
            task = bar.add_task("decode pictures, once", total=shape[0])
            decoded = pool.map(lambda one: _decode(one, shape[1], shape[3]), listing.paths)
            try:
                for row, pixels in enumerate(decoded):
                    pictures[row] = pixels
                    bar.advance(task)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        pictures.flush()
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"the cache '{path.parent}' must have room, but: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _decode(path: Path, side: int, channels: int) -> NDArray[np.uint8]:
    """One picture, (side, side, channels)."""
    try:
        with Image.open(path) as picture:
            plain = picture.convert("RGB" if channels == 3 else "L")
            if plain.size != (side, side):
                plain = ImageOps.fit(plain, (side, side), Image.Resampling.BICUBIC)
            return np.asarray(plain).reshape(side, side, channels)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError) as error:
        raise UserError(f"'{path}' must be a picture that can be decoded, but: {error}") from error
