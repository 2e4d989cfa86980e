"""What the cycles of a layer depend on. The data plays no part, so plain integers say it all."""

from dataclasses import dataclass

from .fifo import OutputFifo, Reservation
from .geometry import WindowGeometry, ceil_div
from .line_buffer import LineBuffer
from .matrix_vector import MatrixVectorUnit, Recentre, Serialiser, serial_lanes
from .reduce import MaxReduce

__all__ = ["LayerTiming", "matrix_vector_timing", "pool_timing"]


@dataclass(frozen=True)
class LayerTiming:
    """A layer as the cycle model sees it.

    ``lanes``: numbers in a beat that leaves. ``latency``: cycles from a window's last step to its first
    beat entering the FIFO.
    """

    window: WindowGeometry
    lanes: int
    reservation: Reservation
    latency: int
    fifo_depth: int


def matrix_vector_timing(
    window: WindowGeometry, pe: int, channels: int, requantise_latency: int, fifo_depth: int = 0
) -> LayerTiming:
    """A convolution or fully connected layer of ``channels`` outputs; a window brings ``pe`` of them.

    ``fifo_depth``: 0 takes the least that never holds the layer up. Raises ``ValueError`` if the fold is
    not possible.
    """
    lanes = serial_lanes(pe, window.window_steps, window.pixels)
    group = channels // window.groups
    left = group - (window.repeats - 1) * pe
    if not 0 < left <= pe:
        raise ValueError(
            f"repeats must be the {group} channels of a group over {pe} PEs, rounded up, not {window.repeats}"
        )
    if window.groups > 1 and group % lanes:
        raise ValueError(f"lanes must divide the {group} channels of a group, not {lanes}")
    full, tail = pe // lanes, ceil_div(left, lanes)
    if window.pixels > 1 and tail < full:
        raise ValueError(
            f"pe must be the {group} channels where a window serves {window.pixels} pixels, not {pe}"
        )
    reservation = Reservation(window.repeats, window.pixels * full, window.pixels * tail)
    latency = (
        LineBuffer.latency
        + MatrixVectorUnit.latency_of(window.simd)
        + Serialiser.latency
        + Recentre.latency
        + requantise_latency
    )
    return _timing(window, lanes, reservation, latency, fifo_depth)


def pool_timing(window: WindowGeometry, fifo_depth: int = 0) -> LayerTiming:
    """A pooling layer: a window brings the channels of one group in one beat.

    Raises ``ValueError`` if the fold is not possible.
    """
    lanes = window.channels // window.groups
    if window.run_lanes % lanes or (window.groups > 1 and window.run_lanes != lanes):
        raise ValueError(
            f"run_lanes must be whole kernel positions of {lanes} channels, not {window.run_lanes}"
        )
    latency = LineBuffer.latency + MaxReduce.latency_of(window.lanes // lanes)
    return _timing(window, lanes, Reservation(1, 1, 1), latency, fifo_depth)


def _timing(
    window: WindowGeometry, lanes: int, reservation: Reservation, latency: int, fifo_depth: int
) -> LayerTiming:
    depth = fifo_depth or _least_depth(window, reservation.full, latency)
    reservation.check(depth)
    return LayerTiming(window, lanes, reservation, latency, depth)


def _least_depth(window: WindowGeometry, full: int, latency: int) -> int:
    """The FIFO depth at which reservations never hold up a layer whose beats are taken as they come.

    A window's places come back when its last beat has left, a round trip after it started. Meanwhile the
    windows that start behind it, one in ``window_steps`` cycles, hold theirs.
    """
    round_trip = window.window_steps + latency + full + OutputFifo.latency + 1
    return max(4, full * (ceil_div(round_trip, window.window_steps) + 1))
