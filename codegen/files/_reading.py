"""Text files that people or programs have written, read within limits of size, depth and time."""

import itertools
import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

from codegen.errors import UserError

__all__ = ["parse_json", "parse_toml", "read_bytes", "read_json", "read_toml"]

TOML_BYTES, TOML_LINE, TOML_DEPTH = 1 << 18, 1 << 12, 64
"""A dotted key costs the square of its parts, so lines are limited too; nesting, before it is parsed."""
JSON_BYTES = 1 << 26


def read_bytes(path: Path, what: str, most: int) -> bytes:
    """The content of a regular file of at most ``most`` bytes. Raises ``UserError``, calling it ``what``."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # a pipe would wait for ever
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UserError(f"{what} '{path}' must be a file, not a folder, a pipe or a device")
            if status.st_size > most:
                raise UserError(f"{what} '{path}' must have at most {most:,} bytes, and has more")
            return file.read(status.st_size)
    except OSError as error:
        raise UserError(f"{what} '{path}' must be a file that can be read, but: {error.strerror}") from error
    except ValueError as error:  # a NUL in its name
        raise UserError(f"{what} must have the name of a file, not {str(path)!r}: {error}") from error


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The tables of a TOML file. Raises ``UserError``, calling it ``what``."""
    content = read_bytes(path, what, TOML_BYTES)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{what} '{path}' must be UTF-8 text, but: {error}") from error
    return parse_toml(text, f"{what} '{path}'")


def parse_toml(text: str, subject: str) -> dict[str, Any]:
    """The tables of a TOML text. Raises ``UserError``, calling it ``subject``."""
    if len(text) > TOML_BYTES or max(map(len, text.splitlines()), default=0) > TOML_LINE:
        raise UserError(
            f"{subject} must have at most {TOML_BYTES:,} characters, {TOML_LINE:,} in a line, and has more"
        )
    steps = ((char in "[{") - (char in "]}") for char in text if char in "[]{}")
    if max(itertools.accumulate(steps), default=0) > TOML_DEPTH:
        raise UserError(f"{subject} must be nested at most {TOML_DEPTH} deep, and is deeper")
    try:
        return tomllib.loads(text)
    except ValueError as error:  # not TOML, or an integer with thousands of digits
        raise UserError(f"{subject} must be TOML, but: {error}") from error


def read_json(path: Path, what: str) -> Any:
    """The value in a JSON file. Raises ``UserError``, calling it ``what``."""
    return parse_json(read_bytes(path, what, JSON_BYTES), f"{what} '{path}'")


def parse_json(text: str | bytes, subject: str) -> Any:
    """The value of a JSON text. Raises ``UserError``, calling it ``subject``."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise UserError(f"{subject} must be JSON with less nesting") from error
    except ValueError as error:  # not JSON, not text, or an integer with thousands of digits
        raise UserError(f"{subject} must be JSON, but: {error}") from error
