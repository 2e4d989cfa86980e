"""The Python version of CIFAR-10 without unpickling: a pickle is a program, here read, never run."""

from __future__ import annotations

import itertools
import pickletools
import warnings
from typing import Any

RECORD = 3 * 32 * 32
_UNSEEN = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "FRAME"}  # they leave what is on the stack alone
_MOST = 1_000_000  # the real files have 50,000 opcodes; memory is not for any number of them
_INTEGERS = {"BININT", "BININT1", "BININT2"}
_OF_BYTES = {"BINGET", "LONG_BINGET", "TUPLE2", "REDUCE"}  # protocol 2 builds b"text" by a call on "text"

Token = tuple[str, Any]
"""Name and argument of one opcode."""


def pixels_and_labels(content: bytes) -> tuple[bytes, list[int]]:
    """The one array of (N, 3072) bytes, row after row, in a pickled batch, and the list under `labels`.

    Understands what Python 2 wrote as protocol 2, and what Python 3 writes of the same dictionary as
    protocols 2 to 5. Raises ValueError, saying what it misses, for anything else.
    """
    tokens = _tokens(content)
    where, pixels = _block(tokens)
    labels = _labels(tokens)
    if len(pixels) != len(labels) * RECORD:
        raise ValueError(f"it has {len(pixels) // RECORD} images and {len(labels)} labels")
    numbers = [argument if name in _INTEGERS else None for name, argument in tokens]
    if (len(labels), RECORD) not in itertools.pairwise(numbers):
        raise ValueError(f"its images are no array of {len(labels)} rows of {RECORD} bytes")
    if _is_columnwise(tokens, where):
        raise ValueError("its array of images is stored column after column")
    return pixels, labels


def _tokens(content: bytes) -> list[Token]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes in what may be no pickle at all
        opcodes = itertools.islice(pickletools.genops(content), _MOST)
        tokens = [(opcode.name, argument) for opcode, argument, _ in opcodes if opcode.name not in _UNSEEN]
    if tokens[-1][0] != "STOP":
        raise ValueError(f"it has more than {_MOST:,} steps")
    return tokens


def _block(tokens: list[Token]) -> tuple[int, bytes]:
    """Place and content of the only string that could be images."""
    blocks = [
        place
        for place, (_, argument) in enumerate(tokens)
        if isinstance(argument, str | bytes | bytearray) and argument and len(argument) % RECORD == 0
    ]
    if len(blocks) != 1:
        raise ValueError(f"it has {len(blocks)} strings of {RECORD} bytes an image")
    content = tokens[blocks[0]][1]
    return blocks[0], content.encode("latin-1") if isinstance(content, str) else bytes(content)


def _labels(tokens: list[Token]) -> list[int]:
    keys = [place for place, (_, argument) in enumerate(tokens) if argument in ("labels", b"labels")]
    if len(keys) != 1:
        raise ValueError(f"it has {len(keys)} entries 'labels'")
    start = keys[0] + 1
    while start < len(tokens) and (tokens[start][0] in _OF_BYTES or tokens[start][1] == "latin1"):
        start += 1
    if tokens[start][0] != "EMPTY_LIST":
        raise ValueError("its 'labels' are no list")
    labels: list[int] = []
    for name, argument in tokens[start + 1 :]:
        if name in _INTEGERS:
            labels.append(argument)
        elif name not in ("MARK", "APPEND", "APPENDS"):
            break
    return labels


def _is_columnwise(tokens: list[Token], block: int) -> bool:
    """Whether numpy marked the array as Fortran's: True before its bytes, or (protocol 5) 'F' after them."""
    flags = [name for name, _ in tokens[:block] if name in ("NEWTRUE", "NEWFALSE")]
    return flags[-1:] == ["NEWTRUE"] or any(argument == "F" for _, argument in tokens[block:])
