"""What a bench sees of a design: its streams, how their beats are made up, and what moved on them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import data, wiring
from numpy.typing import NDArray

from codegen.beats import BeatFormat

__all__ = ["Bench", "Direction", "Record", "Stall", "StreamPort", "StreamRecord", "stream_ports"]


class Direction(Enum):
    """Who drives a stream: the bench, the design, or neither because it is only watched."""

    INPUT = "input"
    OUTPUT = "output"
    TAP = "tap"


@dataclass(frozen=True)
class StreamPort:
    """A stream at the boundary of a design; its signals are ``name__payload``, ``name__valid``,
    ``name__ready``."""

    name: str
    direction: Direction
    format: BeatFormat


@dataclass(frozen=True)
class Stall:
    """How often a source pauses and a sink refuses: each with this probability in each cycle, from this
    seed."""

    probability: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.probability < 1:
            raise ValueError(f"stall must be at least 0 and below 1, not {self.probability}")


@dataclass(frozen=True)
class StreamRecord:
    """Everything that moved on a stream: the cycle of each beat, (beats,), and its numbers, (beats, lanes),
    both int64."""

    cycles: NDArray[np.int64]
    codes: NDArray[np.int64]


Record = dict[str, StreamRecord]
"""The streams of a run by name; cycle 0 is the first in which the bench offers a beat."""

NO_STALL = Stall()


class Bench(Protocol):
    """Something that a design stands in: it puts beats into every input and takes them from every output."""

    def run(
        self,
        feeds: Mapping[str, NDArray[np.int64]],
        expected: Mapping[str, int],
        *,
        stall: Stall = NO_STALL,
        patience: int = 10_000,
    ) -> Record:
        """Runs from reset until ``expected`` beats have left each output, and records all streams.

        ``feeds``: beats (beats, lanes) for each input. Raises ``Stuck`` when nothing moved for ``patience``
        cycles.
        """


def stream_ports(component: wiring.Component) -> list[StreamPort]:
    """The streams of a component, found in its signature: what it takes, what it gives, what it lets
    watch."""
    ports = []
    for name, member in component.signature.members.items():
        if member.is_signature and {"payload", "valid", "ready"} == set(member.signature.members):
            valid, ready = (member.signature.members[part].flow for part in ("valid", "ready"))
            direction = (
                Direction.TAP
                if valid == ready
                else (Direction.OUTPUT if valid == wiring.Out else Direction.INPUT)
            )
            payload = getattr(component, name).payload.shape()
            ports.append(StreamPort(name, direction, beat_format(payload)))
    return ports


def beat_format(payload: Shape | data.Layout) -> BeatFormat:
    """The format of a payload: an array of numbers, or one number."""
    if isinstance(payload, data.ArrayLayout):
        element = Shape.cast(payload.elem_shape)
        return BeatFormat(payload.length, element.width, element.signed)
    shape = Shape.cast(payload)
    return BeatFormat(1, shape.width, shape.signed)
