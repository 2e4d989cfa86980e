"""Folders that are made once and moved into place whole."""

import contextlib
import ctypes
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from codegen.files._lock import held, scratch
from codegen.files._stamp import is_stamped, stamp

__all__ = ["made", "put", "user_cache"]

_HERE = -100  # AT_FDCWD: relative paths mean the working directory
_EXCHANGE = 2  # RENAME_EXCHANGE


def user_cache() -> Path:
    """The folder for what is made once per machine: below XDG_CACHE_HOME, or ~/.cache."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(named) if os.path.isabs(named) else Path.home() / ".cache") / "intandem"


@contextlib.contextmanager
def made(
    folder: Path,
    key: str,
    make: Callable[[Path], None],
    *,
    loose: frozenset[str] = frozenset(),
    usable: Callable[[Path], bool] = lambda folder: True,
    anew: bool = False,
) -> Iterator[None]:
    """Holds ``folder``, made from what ``key`` is a digest of, for reading: nobody replaces it meanwhile.

    If it is not there, or not as it was made, ``make`` fills an empty folder first, which takes its place at
    once; one complete folder is there at every moment. ``loose``: files that may change later; ``usable``:
    whether these are good. ``anew``: it is made even if it is there. Raises what ``make`` does.
    """

    def is_current() -> bool:
        return is_stamped(folder, key) and usable(folder)

    while True:
        with held(folder, shared=True):
            if not anew and is_current():
                yield
                return
        with held(folder):
            _recover(folder)
            if anew or not is_current():
                with scratch(folder) as new:
                    make(new)
                    files = (path for path in new.rglob("*") if path.is_file())
                    names = {path.relative_to(new).as_posix() for path in files}
                    stamp(new, key, names - loose)
                    put(new, folder)
        anew = False


def put(new: Path, folder: Path) -> None:
    """Moves the folder ``new`` to the place of ``folder``. What was there is at ``new`` afterwards, if the
    system can exchange the two, or is gone. Raises ``OSError``."""
    if not folder.exists():
        os.rename(new, folder)
    elif not _exchanged(new, folder):
        os.rename(folder, _old(folder))
        os.rename(new, folder)
        os.rename(_old(folder), new)


def _recover(folder: Path) -> None:
    """Puts back what ``put`` had moved aside when its process was killed."""
    if _old(folder).exists():
        if folder.exists():
            shutil.rmtree(_old(folder))
        else:
            os.rename(_old(folder), folder)


def _old(folder: Path) -> Path:
    whole = folder.absolute()
    return whole.with_name(f".{whole.name}.old")


def _exchanged(first: Path, second: Path) -> bool:
    """Whether two folders now have each other's names; Linux does that in one step on most file systems."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):
        return False
    paths = os.fsencode(first), os.fsencode(second)
    return bool(rename(_HERE, paths[0], _HERE, paths[1], _EXCHANGE) == 0)
