"""What networks consist of."""

from dataclasses import dataclass

__all__ = ["Architecture", "Convolution", "GlobalAverage", "Hidden", "Part", "Pool", "Residual"]

_SMALL = 64


@dataclass(frozen=True)
class Pool:
    """Max pooling over squares. It commutes with a monotone quantiser, so it stands after it: hardware pools
    codes."""

    kernel: int
    stride: int
    padding: int = 0


@dataclass(frozen=True)
class Convolution:
    """A square convolution, its quantised activation, then max pooling if any."""

    name: str
    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    pool: Pool | None = None


@dataclass(frozen=True)
class Residual:
    """Two 3x3 convolutions beside the identity, or beside a 1x1 convolution where the shape changes."""

    name: str
    channels: int
    stride: int


@dataclass(frozen=True)
class GlobalAverage:
    """The mean over the whole map."""

    name: str


@dataclass(frozen=True)
class Hidden:
    """A fully connected layer and its quantised activation."""

    name: str
    outputs: int


Part = Convolution | Residual | GlobalAverage | Hidden


@dataclass(frozen=True)
class Architecture:
    """Parts in a chain before a ``classifier``, for square images of ``size`` pixels a side.

    ``source`` says what it is and where it comes from. ``classes``: of the data that it was made for.
    ``small_first``: the first part for images of fewer than 64 pixels a side, if that is another one.
    """

    source: str
    size: int
    channels: int
    parts: tuple[Part, ...]
    classifier: str
    classes: int = 10
    small_first: Part | None = None

    def parts_for(self, size: int) -> tuple[Part, ...]:
        """The parts for images of ``size`` pixels a side."""
        if self.small_first is not None and size < _SMALL:
            return (self.small_first, *self.parts[1:])
        return self.parts
