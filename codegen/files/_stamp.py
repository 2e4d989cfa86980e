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


@dataclass(frozen=True)
class _File:
    bytes: Annotated[int, Range(0, 1 << 62)]
    sha256: str


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


def stamp(folder: Path, key: str, names: Iterable[str]) -> None:
    """Stamps a folder as complete, with these files, and made from what ``key`` is a digest of. Raises
    ``UserError`` and ``OSError``."""
    files = {}
    for name in sorted(names):
        path = folder / name
        files[name] = _File(path.stat().st_size, _sha256(path))
    text = json.dumps(encoded(_Stamp(key, files)), indent=1)
    write_atomically(folder / STAMP, f"{text}\n".encode())


def is_stamped(folder: Path, key: str) -> bool:
    """Whether a folder was made from what ``key`` is a digest of, every file still as it was then."""
    try:
        found = decoded(_Stamp, read_json(folder / STAMP, "stamp"), "stamp: ")
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
    return whole and _sha256(folder / place) == expected.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
