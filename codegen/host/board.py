"""A board at the end of a serial line: asked what it is, and shown images."""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from codegen.errors import UserError
from hw.link.protocol import CLASS_BYTES, Fault, Reply, Request

from .frames import Frame, FrameReader, encode
from .identity import Identity

__all__ = ["BAUD", "BITS_PER_BYTE", "Answer", "Board", "Line"]

BAUD, BITS_PER_BYTE = 1_000_000, 10
"""Bits a second on the line, and those of a byte with its start and stop bit."""

_WINDOW = 2
"""Images on their way at a time: as many as the board has places for."""
_TRIES = 8
_POLL_BYTES = 4096
_NUMBERS = 256
_SILENCE_SECONDS, _LISTEN_SECONDS = 0.1, 5.0
"""How long the line must be silent before the first request, and how long to wait for that at most."""


class Line(Protocol):
    """What a board needs of a serial line, as pyserial has it: ``read`` waits a moment for a first byte and
    returns what there is, perhaps nothing."""

    def read(self, size: int, /) -> bytes: ...

    def write(self, data: bytes, /) -> int | None: ...


@dataclass(frozen=True)
class Answer:
    """What a board says of an image: its scores (count,) int64, and its class."""

    scores: NDArray[np.int64]
    label: int


@dataclass
class _Asked:
    content: bytes
    tries: int
    deadline: float


class Board:
    """Talks to a board over ``line``. A request that is not answered in ``timeout`` seconds, or that either
    side heard wrong, is sent again, eight times at most; ``repeated`` counts those. Answers to a program that
    was here before, and was killed, are passed over: what is on its way is heard out first, and requests are
    numbered from ``first`` on, which is random unless given, so that a late one bears another number.

    Raises ``UserError`` from every method for a board that does not answer or cannot.
    """

    def __init__(self, line: Line, timeout: float, first: int | None = None):
        self.line, self.timeout, self.repeated = line, timeout, 0
        self._reader = FrameReader()
        self._asked: dict[int, _Asked] = {}
        self._next = random.randrange(_NUMBERS) if first is None else first

    def identify(self) -> Identity:
        """What the board is. Whatever was on the line before is forgotten."""
        self._asked.clear()
        self._drain()
        self._ask(Request.IDENTIFY)
        while self._asked:
            for reply in self._replies():
                if reply.kind == Reply.IDENTITY and self._is_new(reply):
                    return Identity.from_bytes(reply.payload)
        raise AssertionError("an open request is answered or raises")

    def classify(self, images: Sequence[NDArray[np.uint8]], identity: Identity) -> Iterator[Answer]:
        """The answers for images (rows, columns, channels) of codes, in their order, as they come."""
        answers: dict[int, Answer] = {}
        sent, first = 0, self._next
        for index in range(len(images)):
            while index not in answers:
                while sent < len(images) and len(self._asked) < _WINDOW:
                    self._ask(Request.CLASSIFY, images[sent].tobytes())
                    sent += 1
                for reply in self._replies():
                    if reply.kind == Reply.SCORES and self._is_new(reply):
                        place = index + (reply.number - first - index) % _NUMBERS
                        answers[place] = _answer(reply.payload, identity)
            yield answers.pop(index)

    def _drain(self) -> None:
        """Reads until the line is silent; to a line that never is the board is asked nevertheless."""
        now = time.monotonic()
        silent, end = now + _SILENCE_SECONDS, now + _LISTEN_SECONDS
        while now < min(silent, end):
            heard = self.line.read(_POLL_BYTES)
            now = time.monotonic()
            silent = now + _SILENCE_SECONDS if heard else silent
        self._reader = FrameReader()

    def _is_new(self, reply: Frame) -> bool:
        """Whether this is the first answer to something asked."""
        return self._asked.pop(reply.number, None) is not None

    def _ask(self, kind: Request, payload: bytes = b"") -> None:
        number, self._next = self._next, (self._next + 1) % _NUMBERS
        self._asked[number] = _Asked(encode(Frame(kind, number, payload)), 0, 0.0)
        self._send(number)

    def _send(self, number: int) -> None:
        asked = self._asked[number]
        if asked.tries == _TRIES:
            raise UserError(
                f"the board must answer within {self.timeout:g} s, and has not in {_TRIES} tries; see that "
                f"it is configured, that --port is its serial port, and that nothing else uses it"
            )
        self.repeated += asked.tries > 0
        asked.tries += 1
        asked.deadline = time.monotonic() + self.timeout + _WINDOW * len(asked.content) * BITS_PER_BYTE / BAUD
        self.line.write(asked.content)

    def _replies(self) -> Iterator[Frame]:
        """Waits a moment and returns the replies that came whole; sends again what got lost."""
        for reply in self._reader.feed(self.line.read(_POLL_BYTES)):
            if reply is not None and reply.kind != Reply.FAULT:
                yield reply
            elif reply is not None and reply.payload[:1] != bytes([Fault.CHECKSUM]):
                self._refused(reply)
            elif self._asked:
                self._send(next(iter(self._asked)))  # replies come in order: most likely the oldest
        for number, asked in self._asked.items():
            if time.monotonic() > asked.deadline:
                self._send(number)

    def _refused(self, reply: Frame) -> None:
        if reply.payload == bytes([Fault.BUSY]):
            return  # what keeps it busy was sent twice; the deadline sends this again
        names = {bytes([fault]): fault.name.lower() for fault in Fault}
        reason = names.get(reply.payload, f"reason {reply.payload.hex()}")
        raise UserError(
            f"the board must take what it is sent, and refuses it for its {reason}; configure it anew"
        )


def _answer(payload: bytes, identity: Identity) -> Answer:
    size = identity.score_bytes
    if len(payload) != identity.count * size + CLASS_BYTES:
        raise UserError(
            f"the board must send {identity.count} scores of {size} bytes and a class, not {len(payload)} "
            f"bytes; configure it anew"
        )
    parts = [payload[k * size : (k + 1) * size] for k in range(identity.count)]
    scores = [int.from_bytes(part, "big", signed=identity.signed) for part in parts]
    return Answer(np.array(scores, dtype=np.int64), int.from_bytes(payload[-CLASS_BYTES:], "big"))
