"""Locks between processes, and folders that belong to one process.

Locks are the kernel's (flock), so a process that dies lets go, whatever kills it. A lock is a file beside
what it protects, with a line that says who holds it. The last holder removes the file; a process that waited
for it then finds that the name stands for another file, or for none, and starts over.
"""

import contextlib
import errno
import fcntl
import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["held", "opened_alone", "remove_unless_used", "scratch"]

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""What a file system says that has none: then a process goes on as if it were alone."""


@contextlib.contextmanager
def held(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Keeps other processes away from ``path``, a file or folder that need not exist; ``shared``: only those
    that want it for themselves. Says on stderr whom it waits for. Raises ``OSError``."""
    lock = _beside(path, "lock")
    missing = [folder for folder in lock.parents if not folder.exists()]
    file = _locked(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, path)
    try:
        yield
    finally:
        _let_go(file, lock)
        with contextlib.suppress(OSError):  # of one in which something was put
            for folder in missing:
                folder.rmdir()


@contextlib.contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """A new empty folder beside ``path`` for this process alone, removed at the end unless it was moved away.

    Those that killed processes have left for the same path are removed first. Raises ``OSError``.
    """
    with held(_beside(path, "scratch")):
        _sweep(path)
        names = (_beside(path, f"scratch-{number}") for number in itertools.count())
        folder = next(name for name in names if not _mark(name).exists())
        file = _locked(_mark(folder), fcntl.LOCK_EX, folder)
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _let_go(file, _mark(folder))


def opened_alone(path: Path, operation: int, waiting_for: Path | None = None) -> BinaryIO:
    """The file ``path``, made if it is missing, with the lock ``operation`` on it: the file that the name
    stands for once the lock is taken. Raises ``OSError``."""
    while True:
        file = path.open("ab+")
        try:
            _take(file, operation, waiting_for)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return file
        except BaseException:
            file.close()
            raise
        file.close()


def remove_unless_used(path: Path) -> None:
    """Removes a file that nobody has a lock on."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), path.open("rb") as file:
        if _try(file, fcntl.LOCK_EX):
            path.unlink(missing_ok=True)


def _beside(path: Path, what: str) -> Path:
    whole = path.absolute()
    return whole.with_name(f".{whole.name}.{what}")


def _locked(lock: Path, operation: int, path: Path) -> BinaryIO:
    lock.parent.mkdir(parents=True, exist_ok=True)
    file = opened_alone(lock, operation, path)
    if operation == fcntl.LOCK_EX:
        file.truncate(0)
    file.write(f"process {os.getpid()}, {' '.join(sys.argv)}\n".encode(errors="replace"))
    file.flush()
    return file


def _take(file: BinaryIO, operation: int, path: Path | None) -> None:
    if _try(file, operation):
        return
    if path is not None:
        print(f"waiting for {_holder(file)}: it uses {path}", file=sys.stderr, flush=True)
    fcntl.flock(file, operation)


def _holder(file: BinaryIO) -> str:
    """The last process of those that have written their line into a lock which is still there."""
    file.seek(0)
    for line in reversed(file.read().decode(errors="replace").splitlines()):
        number = line.partition(",")[0].removeprefix("process ")
        if number.isdigit() and int(number) != os.getpid() and Path(f"/proc/{number}").exists():
            return line
    return "another process"


def _try(file: BinaryIO, operation: int) -> bool:
    try:
        fcntl.flock(file, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _let_go(file: BinaryIO, lock: Path) -> None:
    with file:
        if _try(file, fcntl.LOCK_EX):  # nobody else has a share in it
            lock.unlink(missing_ok=True)


def _mark(folder: Path) -> Path:
    """The lock that the process holds which a scratch folder belongs to."""
    return folder.with_name(f"{folder.name}.used")


def _sweep(path: Path) -> None:
    """Removes the scratch folders of ``path`` whose processes have died, and so let go of their marks."""
    start = _beside(path, "scratch-")
    for mark in start.parent.iterdir():
        if mark.name.startswith(start.name) and mark.suffix == ".used":
            with contextlib.suppress(FileNotFoundError), mark.open("rb") as file:
                if _try(file, fcntl.LOCK_EX):
                    shutil.rmtree(mark.with_suffix(""), ignore_errors=True)
                    mark.unlink(missing_ok=True)
