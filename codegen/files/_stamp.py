"""Stamps: what a folder was made from, and the size and digest of each of its files."""

import hashlib
import json
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from codegen.errors import UserError
from codegen.files._atomic import write_atomically
from codegen.files._reading import read_json
from codegen.files._typed import Range, decoded, encoded

__all__ = ["digest_of", "is_stamped", "stamp"]

STAMP = "stamp.json"

_LARGE = 1 << 30


@dataclass(frozen=True)
class _File:
    bytes: Annotated[int, Range(0, 1 << 62)]
    sha256: str | None


@dataclass(frozen=True)
class _Stamp:
    key: str
    files: dict[str, _File]


def digest_of(values: Iterable[Any], files: Iterable[Path] = ()) -> str:
    """SHA-256, in hexadecimal, of values by their ``repr`` and of the contents of files, in this order.

    Raises ``OSError``.
    """
    digest = hashlib.sha256(repr(list(values)).encode())
    for path in files:
        content = path.read_bytes()
        digest.update(b"%d\n" % len(content) + content)
    return digest.hexdigest()


def stamp(folder: Path, key: str, names: Iterable[str], file: str = STAMP) -> None:
    """Stamps a folder as complete, with the files ``names``, and made from what ``key`` is a digest of, in
    ``file``. Raises ``UserError`` and ``OSError``."""
    files = {}
    for name in sorted(names):
        size = (folder / name).stat().st_size
        files[name] = _File(size, _sha256(folder / name, size))
    text = json.dumps(encoded(_Stamp(key, files)), indent=1)
    write_atomically(folder / file, f"{text}\n".encode())


def is_stamped(folder: Path, key: str, file: str = STAMP) -> bool:
    """Whether a folder was made from what ``key`` is a digest of, and the files stamped in ``file`` are still
    as they were then. Files of a gigabyte and more are known by their size alone."""
    try:
        found = decoded(_Stamp, read_json(folder / file, "stamp"), "stamp: ")
        return found.key == key and all(_is_intact(folder, name, one) for name, one in found.files.items())
    except (UserError, OSError, ValueError):
        return False


def _is_intact(folder: Path, name: str, expected: _File) -> bool:
    """A name may not leave the folder, and nothing that could be endless is read."""
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts:
        return False
    status = os.lstat(folder / place)
    whole = stat.S_ISREG(status.st_mode) and status.st_size == expected.bytes
    return whole and _sha256(folder / place, expected.bytes) == expected.sha256


def _sha256(path: Path, size: int) -> str | None:
    """``None`` for a file that takes too long to read each time that it is used."""
    if size >= _LARGE:
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
