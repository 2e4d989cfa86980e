"""Single files, written whole or not at all."""

import fcntl
import os
from pathlib import Path

from codegen.errors import UserError
from codegen.files._lock import opened_alone, remove_unless_used

__all__ = ["write_atomically"]


def write_atomically(path: str | os.PathLike[str], content: bytes, *, mode: int | None = None) -> None:
    """Writes a file whole or not at all: under a temporary name beside it, synced, then renamed.

    The temporary name is always the same, so a process that is killed leaves one file at most, which the next
    one uses. ``mode``: its permissions, where they are not those of any new file. Raises ``UserError`` if it
    cannot be written.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.part")
    try:
        with opened_alone(temporary, fcntl.LOCK_EX) as file:
            file.truncate(0)
            file.write(content)
            file.flush()
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            os.replace(temporary, target)
    except BaseException as error:
        remove_unless_used(temporary)
        if not isinstance(error, OSError):
            raise
        raise UserError(f"'{target}' must be a file that can be written, but: {error.strerror}") from error
