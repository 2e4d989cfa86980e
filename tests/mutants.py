"""Damaged and hostile copies of files: bytes changed, moved, lost or doubled, tokens swapped for others."""

import random
import re
from collections.abc import Iterator, Sequence

HOSTILE = [
    b"", b"null", b"true", b"-1", b"0", b"1e999", b"NaN", b"Infinity", b'""', b"[]", b"{}", b"\x00",
    b"\xff\xfe", b'"\\u0000"', b"9" * 5000, b"0." + b"1" * 5000, b"[" * 100_000, b'{"a":' * 100_000,
    b"[\n" * 50_000, b"[[a.b]]\n" * 100, b"18446744073709551616", b"-9223372036854775809", b"/dev/zero",
    b'"' + b"x" * 70_000 + b'"', b"../../..", b"1979-05-27T07:32:00Z", b"\xed\xa0\x80", b"\\", b"#", b"=",
    b"\r", b"'''", b"a" * 3000 + b".b" * 3000,
]  # fmt: skip
"""What readers of numbers, texts and nested things have stumbled over, somewhere."""

_TOKEN = re.compile(rb'"[^"\n]{0,80}"|[-+\w.]+|[\[\]{}:=,#]|\s+', re.ASCII)


def mutants(wholes: Sequence[bytes], count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """``count`` mutants of files, and what says how to have each of them again."""
    for number in range(count):
        draw = random.Random(f"{seed} {number}")
        whole = draw.choice(wholes)
        if number % 2:
            mutant = _mutant(draw, whole)
        else:
            mutant = _token(draw, whole, HOSTILE[number // 2 % len(HOSTILE)])
        yield f"mutant {number} of seed {seed}", mutant


def _mutant(draw: random.Random, data: bytes) -> bytes:
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        change = draw.choice([_byte, _cut, _double, _splice, _token, _token, _token, _swap])
        data = change(draw, data) if data else b"\x00"
    return data


def _place(draw: random.Random, data: bytes) -> int:
    """Anywhere, but more often near the beginning, where headers are."""
    return draw.randrange(min(len(data), 300) if draw.random() < 0.5 else len(data))


def _byte(draw: random.Random, data: bytes) -> bytes:
    place = _place(draw, data)
    return data[:place] + bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :]


def _cut(draw: random.Random, data: bytes) -> bytes:
    place = _place(draw, data)
    return data[:place] + data[place + draw.choice([1, 4, 100, len(data)]) :]


def _double(draw: random.Random, data: bytes) -> bytes:
    place = _place(draw, data)
    return data[:place] + data[place : place + draw.choice([1, 8, 200])] * 2 + data[place:]


def _splice(draw: random.Random, data: bytes) -> bytes:
    place = _place(draw, data)
    return data[:place] + draw.randbytes(draw.choice([1, 4, 8])) + data[place + draw.choice([0, 4, 8]) :]


def _token(draw: random.Random, data: bytes, other: bytes | None = None) -> bytes:
    """A token becomes something that nobody expects there."""
    tokens = [match.span() for match in _TOKEN.finditer(data[:20_000])]
    if not tokens:
        return data
    start, end = draw.choice(tokens)
    return data[:start] + (draw.choice(HOSTILE) if other is None else other) + data[end:]


def _swap(draw: random.Random, data: bytes) -> bytes:
    """Two tokens change places."""
    tokens = [match.span() for match in _TOKEN.finditer(data[:20_000])]
    if len(tokens) < 2:
        return data
    (a, b), (c, d) = sorted(draw.sample(tokens, 2))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]
