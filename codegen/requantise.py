"""The two hardware forms of Requantise, the smallest of each by exact integers, and their proof.

The definition and both forms are staircases over the accumulator that never fall. Two of them are equal on
low..high if and only if, for each level k in 1 .. 2^bits - 1, the first accumulator to reach k is the same.
docs/numerics.md has the argument. No float takes part.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from codegen.errors import UserError
from codegen.ir import Requantise, signed_bits

IntArray = npt.NDArray[np.int64]
Stairs = Callable[[IntArray], IntArray]  # accumulators (..., C) to codes

_THRESHOLD_BITS = 4  # of a code up to which a form that is loaded is one of thresholds
_EXHAUSTIVE = 1 << 20  # accumulators, over all channels, up to which a proof tries every one


class RequantiseError(UserError):
    """A form that differs from its definition, or that does not belong to it."""


@dataclass(frozen=True)
class ScaleForm:
    """y = clip((multiplier * acc + offset) >> shift, 0, 2^bits - 1), the shift rounding down.

    multiplier (0 or more), offset: one for the whole layer or one a channel; shift (0 or more): one for all.
    Raises RequantiseError.
    """

    multiplier: tuple[int, ...]
    offset: tuple[int, ...]
    shift: int
    bits: int

    def __post_init__(self) -> None:
        if not self.multiplier or len(self.multiplier) != len(self.offset):
            raise RequantiseError(
                "a scale form must have one multiplier or more and as many offsets, "
                f"not {len(self.multiplier)} and {len(self.offset)}"
            )
        least = min(*self.multiplier, self.shift)
        if least < 0:
            raise RequantiseError(f"a scale form's multipliers and shift must be 0 or more, not {least}")

    @property
    def channels(self) -> int:
        """How many channels it tells apart; 1 if it is for the whole layer."""
        return len(self.multiplier)

    @property
    def rows(self) -> tuple[tuple[int, ...], ...]:
        """The numbers of each channel."""
        return tuple(zip(self.multiplier, self.offset, strict=True))

    def only(self, channels: Sequence[int]) -> "ScaleForm":
        """The form for these channels alone; the same if it is for the whole layer."""
        if self.channels == 1:
            return self
        multipliers, offsets = zip(*(self.rows[channel] for channel in channels), strict=True)
        return replace(self, multiplier=multipliers, offset=offsets)

    def apply(self, acc: IntArray) -> IntArray:
        """Codes of accumulators int64 (..., C); C is `channels`, or anything if it is for a whole layer."""
        reach = max(int(acc.max(initial=0)), -int(acc.min(initial=0)))
        bound = max(self.multiplier) * reach + max(map(abs, self.offset)) + (1 << self.shift)
        dtype = np.dtype(np.int64 if bound < 1 << 63 else object)  # Python ints where int64 could overflow
        scaled = np.array(self.multiplier, dtype) * acc.astype(dtype) + np.array(self.offset, dtype)
        codes: IntArray = np.clip(scaled >> self.shift, 0, (1 << self.bits) - 1).astype(np.int64)
        return codes


@dataclass(frozen=True)
class ThresholdForm:
    """y = number of thresholds at or below acc, of the channel's 2^bits - 1 ascending ones.

    thresholds: one row for the whole layer or one a channel, within 63 bits. Raises RequantiseError.
    """

    thresholds: tuple[tuple[int, ...], ...]
    bits: int

    def __post_init__(self) -> None:
        if not self.thresholds:
            raise RequantiseError("a threshold form must have one row of thresholds or more, not none")
        count = (1 << self.bits) - 1
        for channel, row in enumerate(self.thresholds):
            if len(row) != count:
                raise RequantiseError(
                    f"channel {channel}: {self.bits} bits must have {count} thresholds, not {len(row)}"
                )
            for first, second in pairwise(row):
                if first > second:
                    raise RequantiseError(
                        f"channel {channel}: thresholds must ascend, not be {second} after {first}"
                    )
            if signed_bits(row[0], row[-1]) > 63:
                raise RequantiseError(
                    f"channel {channel}: thresholds must fit in 63 bits, not be {row[0]}..{row[-1]}"
                )

    @property
    def channels(self) -> int:
        """How many channels it tells apart; 1 if it is for the whole layer."""
        return len(self.thresholds)

    @property
    def rows(self) -> tuple[tuple[int, ...], ...]:
        """The numbers of each channel."""
        return self.thresholds

    def only(self, channels: Sequence[int]) -> "ThresholdForm":
        """The form for these channels alone; the same if it is for the whole layer."""
        if self.channels == 1:
            return self
        return replace(self, thresholds=tuple(self.thresholds[channel] for channel in channels))

    def apply(self, acc: IntArray) -> IntArray:
        """Codes of accumulators int64 (..., C); C is `channels`, or anything if it is for a whole layer."""
        if self.channels == 1:
            return _count_reached(self.thresholds[0], acc)
        columns = [_count_reached(row, acc[..., channel]) for channel, row in enumerate(self.thresholds)]
        return np.stack(columns, axis=-1)


Form = ScaleForm | ThresholdForm


def _count_reached(row: tuple[int, ...], acc: IntArray) -> IntArray:
    return np.searchsorted(np.array(row, np.int64), acc, side="right").astype(np.int64)


def thresholds(op: Requantise, channel: int) -> npt.NDArray[Any]:
    """First accumulator to reach each level k = 1 .. 2^bits - 1: ceil(((2k - 1)*d - 2*beta) / (2*alpha)).

    int64, or Python ints where int64 could overflow.
    """
    alpha, beta = (int(array[channel] if array.ndim else array) for array in (op.alpha, op.beta))
    reach = (op.divisor << op.bits + 1) + 2 * abs(beta)
    odd = np.arange(1, 2 << op.bits, 2).astype(np.int64 if max(reach, 2 * alpha) < 1 << 62 else object)[:-1]
    return -((2 * beta - odd * op.divisor) // (2 * alpha))


def threshold_form(op: Requantise, low: npt.ArrayLike, high: npt.ArrayLike) -> ThresholdForm:
    """The thresholds clipped into low..high + 1, which changes no code in low..high.

    low, high: int64 () or (C,), the inclusive range of all accumulators or of each channel's. Where alpha and
    beta are for the whole layer, so is the form, over the union of the ranges. Raises RequantiseError.
    """
    ranges = _ranges(op, low, high)
    firsts, which = _kinds(_numbers(op, ranges))
    rows = [tuple(_clipped(op, channel, *ranges[channel]).tolist()) for channel in firsts]
    return ThresholdForm(tuple(rows[kind] for kind in which), op.bits)


def scale_form(
    op: Requantise, low: npt.ArrayLike, high: npt.ArrayLike, shift: int | None = None
) -> ScaleForm:
    """The scale form of the smallest shift, or of ``shift``, that equals the definition on low..high.

    Each multiplier is the smallest at that shift, each offset the one nearest 0 with that multiplier.
    There always is such a form of the smallest shift, and of any larger one. low, high and the choice between
    layer and channels: as for `threshold_form`.
    """
    ranges = _ranges(op, low, high)
    firsts, which = _kinds(_numbers(op, ranges))
    corners = [_corners(_clipped(op, channel, *ranges[channel]), *ranges[channel]) for channel in firsts]
    slopes = [_slopes(*pair) for pair in corners]
    shift = max(_least_shift(*bounds) for bounds in slopes) if shift is None else shift
    multipliers = [_least_multiplier(above, shift) for above, _ in slopes]
    offsets = [_offset(*pair, m, shift) for pair, m in zip(corners, multipliers, strict=True)]
    return ScaleForm(
        tuple(multipliers[kind] for kind in which), tuple(offsets[kind] for kind in which), shift, op.bits
    )


@dataclass(frozen=True)
class ScaleRoom:
    """What a scale form over the accumulators low..high has room for, whatever its numbers are.

    ``shift`` is 2b + 2 for accumulators within +-2^b. The ends of the open interval of good slopes are
    fractions with denominators below 2^(b + 1), so it is wider than 2^-shift: a multiplier is always found.
    It has ``multiplier_bits``: enough for codes that rise from lowest to highest over 2^(b - 16) or more, far
    below the spread of any useful layer's sums.
    """

    shift: int
    multiplier_bits: int
    offset_bits: int

    @classmethod
    def over(cls, low: int, high: int) -> "ScaleRoom":
        reach = signed_bits(low, high) - 1
        return cls(2 * reach + 2, reach + 26, 2 * reach + 28)

    @property
    def ends(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Lowest and highest multiplier and offset."""
        half = 1 << self.offset_bits - 1
        return (0, (1 << self.multiplier_bits) - 1), (-half, half - 1)


def loadable_form(op: Requantise, low: npt.ArrayLike, high: npt.ArrayLike) -> Form:
    """The form in hardware that holds any other of its kind too, for an operation per channel.

    Thresholds where a code has few levels, else a scale with the shift of ``ScaleRoom``. low, high: as for
    `threshold_form`. Raises RequantiseError for a scale that is too steep for that room.
    """
    if op.bits <= _THRESHOLD_BITS:
        return threshold_form(op, low, high)
    first, last = int(np.min(low)), int(np.max(high))
    room = ScaleRoom.over(first, last)
    form = scale_form(op, low, high, room.shift)
    for numbers, (least, most) in zip((form.multiplier, form.offset), room.ends, strict=True):
        for channel, number in enumerate(numbers):
            if not least <= number <= most:
                raise RequantiseError(
                    f"channel {channel}: to be loaded, codes must rise from lowest to highest over 1/65,536 "
                    f"of {first}..{last} or more, and this scale is steeper"
                )
    return form


def prove(op: Requantise, form: Form, low: npt.ArrayLike, high: npt.ArrayLike) -> None:
    """Raise RequantiseError, naming the first channel and accumulator at which form and definition differ.

    low, high: as for `threshold_form`. The proof knows nothing of how the form was found: it runs both, on
    every accumulator where there are few, else on either side of each step of the definition, which is enough
    as neither ever falls. Channels with the same numbers are looked at once.
    """
    ranges = _ranges(op, low, high)
    if form.bits != op.bits or form.channels not in (1, len(ranges)):
        raise RequantiseError(
            f"a form must be of the {op.bits} bits and {len(ranges)} channel(s) of its operation, "
            f"not of {form.bits} and {form.channels}"
        )
    forms = form.rows * (len(ranges) // form.channels)
    kinds, _ = _kinds(zip(_numbers(op, ranges), forms, strict=True))
    lows, highs = np.array(ranges, np.int64)[kinds].T
    acc = _telling(_only(op, kinds), lows, highs)
    wrong = (_only(op, kinds).apply(acc) != form.only(kinds).apply(acc)).any(axis=0)
    for kind in np.flatnonzero(wrong)[:1]:
        one, it = _only(op, [kinds[kind]]), form.only([kinds[kind]])
        first = _first_difference(one.apply, it.apply, lows[[kind]], highs[[kind]], (1 << op.bits) - 1)
        raise RequantiseError(
            f"channel {kinds[kind]}: the form must give {one.apply(first).item()} for acc {first.item()}, "
            f"as the definition does, not {it.apply(first).item()}"
        )


def _telling(op: Requantise, lows: IntArray, highs: IntArray) -> IntArray:
    """Accumulators int64 (n, C) at which a staircase must equal the definition to be equal everywhere: all,
    where they are few; else the first to reach each level and the one before it."""
    count = int((highs - lows).max()) + 1
    if count * len(lows) <= _EXHAUSTIVE:
        return np.minimum(lows + np.arange(count)[:, None], highs)
    ends = zip(lows.tolist(), highs.tolist(), strict=True)
    firsts = np.stack([_clipped(op, channel, *pair) for channel, pair in enumerate(ends)], 1).astype(np.int64)
    before, at = np.maximum(firsts - 1, lows), np.minimum(firsts, highs)
    levels = np.arange(1, 1 << op.bits)[:, None]
    steps = (op.apply(before) < levels) | (firsts == lows), (op.apply(at) >= levels) | (firsts > highs)
    assert all(step.all() for step in steps), "the first accumulators to reach each level are others"
    return np.concatenate([before, at])


def _numbers(op: Requantise, ranges: list[tuple[int, int]]) -> list[Hashable]:
    """All that the codes of each channel depend on."""
    alpha, beta = (np.broadcast_to(numbers, len(ranges)).tolist() for numbers in (op.alpha, op.beta))
    return list(zip(alpha, beta, ranges, strict=True))


def _kinds(rows: Iterable[Hashable]) -> tuple[list[int], list[int]]:
    """The first place of each distinct row, and which of those each row is equal to."""
    first: dict[Hashable, int] = {}
    kinds: dict[Hashable, int] = {}
    which = []
    for place, row in enumerate(rows):
        first.setdefault(row, place)
        which.append(kinds.setdefault(row, len(kinds)))
    return list(first.values()), which


def _only(op: Requantise, channels: Sequence[int]) -> Requantise:
    """The operation for these channels alone."""
    alpha, beta = (numbers[list(channels)] if numbers.ndim else numbers for numbers in (op.alpha, op.beta))
    return replace(op, alpha=alpha, beta=beta)


def _ranges(op: Requantise, low: npt.ArrayLike, high: npt.ArrayLike) -> list[tuple[int, int]]:
    """(low, high) for each channel that `op` tells apart: a single one where alpha and beta are scalars."""
    lows, highs = np.atleast_1d(low), np.atleast_1d(high)
    channels = max(op.alpha.size, op.beta.size)
    if lows.ndim > 1 or lows.shape != highs.shape or (op.per_channel and lows.size not in (1, channels)):
        raise RequantiseError(
            f"the range of accumulators must have one low and high, or {channels} of each, "
            f"not shapes {lows.shape} and {highs.shape}"
        )
    if not (np.issubdtype(lows.dtype, np.integer) and np.issubdtype(highs.dtype, np.integer)):
        raise RequantiseError(
            f"the range of accumulators must be integers, not {lows.dtype} and {highs.dtype}"
        )
    if not op.per_channel:
        lows, highs = lows.min(keepdims=True), highs.max(keepdims=True)
    ranges = list(zip(*(np.broadcast_to(ends, channels).tolist() for ends in (lows, highs)), strict=True))
    for channel, (first, last) in enumerate(ranges):
        if first > last or signed_bits(first, last) > 62:
            raise RequantiseError(
                f"channel {channel}: accumulators must have low at most high and fit in 62 bits, "
                f"not be {first}..{last}"
            )
    return ranges


def _clipped(op: Requantise, channel: int, low: int, high: int) -> npt.NDArray[Any]:
    return np.minimum(np.maximum(thresholds(op, channel), low), high + 1)


class _Corners(NamedTuple):
    """Points of a staircase: accumulators and, at each, a level; arrays of int64 or Python ints."""

    acc: npt.NDArray[Any]
    level: npt.NDArray[Any]


def _corners(firsts: npt.NDArray[Any], low: int, high: int) -> tuple[_Corners, _Corners]:
    """Outer and inner corners of a staircase on low..high, given the first accumulator to reach each level.

    In units of a code, (multiplier * acc + offset) / 2^shift is a line over acc. It serves if and only if
    it is at or above k at the first accumulator to reach k (outer), and below k one before that (inner).
    """
    dtype = np.dtype(np.int64 if signed_bits(low, high) <= 48 else object)  # leaves room for 8-bit levels
    acc, level = firsts.astype(dtype), np.arange(1, len(firsts) + 1).astype(dtype)
    starts, ends = acc > low, acc <= high
    return _Corners(acc[ends], level[ends]), _Corners(acc[starts] - 1, level[starts])


def _slopes(outer: _Corners, inner: _Corners) -> tuple[Fraction | None, Fraction | None]:
    """The open interval of the slopes of all lines that serve; None for an end without a bound.

    Slope m serves if and only if gap(m) > 0, the room it leaves for the offset:
    gap(m) = min(k - m*acc over inner corners) - max(k - m*acc over outer corners).
    gap is concave, and positive at alpha / d, so its two roots bound the interval.
    """
    if not (outer.acc.size and inner.acc.size):
        return None, None
    return (
        _root(outer, inner, int(np.argmax(outer.acc)), int(np.argmin(inner.acc)), -1),
        _root(outer, inner, int(np.argmin(outer.acc)), int(np.argmax(inner.acc)), +1),
    )


def _root(outer: _Corners, inner: _Corners, i: int, j: int, side: int) -> Fraction | None:
    """Root of gap below (side -1) or above (+1) the slopes that serve, by Newton from corners i and j.

    Each step takes the root of the pair of corners that is tightest at the last slope. gap has finitely
    many such pieces and lies below each, so the steps come nearer from outside and end on the root itself.
    """
    if side * (int(inner.acc[j]) - int(outer.acc[i])) <= 0:
        return None  # not even the widest pair bounds the slope on this side
    slope, previous = _pair_root(outer, inner, i, j), None
    while slope != previous:
        rise, run = slope.numerator, slope.denominator
        i = int(np.argmax(run * outer.level - rise * outer.acc))
        j = int(np.argmin(run * inner.level - rise * inner.acc))
        slope, previous = _pair_root(outer, inner, i, j), slope
    return slope


def _pair_root(outer: _Corners, inner: _Corners, i: int, j: int) -> Fraction:
    rise = int(inner.level[j]) - int(outer.level[i])
    return Fraction(rise, int(inner.acc[j]) - int(outer.acc[i]))


def _least_multiplier(above: Fraction | None, shift: int) -> int:
    """Smallest multiplier, 0 or more, whose slope multiplier / 2^shift is greater than `above`."""
    return 0 if above is None else max(0, math.floor(above * (1 << shift)) + 1)


def _least_shift(above: Fraction | None, below: Fraction | None) -> int:
    """Smallest shift at which a multiplier, 0 or more, has its slope strictly between the two.

    `below` is positive. Once the two are more than 1 apart in units of 2^-shift, there is one, and where a
    shift has one, the next has its double: so bisection finds the smallest.
    """
    if below is None:
        return 0
    width = below - max(above or Fraction(0), Fraction(0))
    enough = math.floor(1 / width).bit_length()
    return bisect_left(range(enough), True, key=lambda s: _least_multiplier(above, s) < below * (1 << s))


def _offset(outer: _Corners, inner: _Corners, multiplier: int, shift: int) -> int:
    """The offset nearest 0 with which the multiplier serves."""
    least, most = (_rooms(corners, multiplier, shift) for corners in (outer, inner))
    return min([max([0, *least]), *(limit - 1 for limit in most)])


def _rooms(corners: _Corners, multiplier: int, shift: int) -> list[int]:
    """How far each corner's level lies above the line without offset, in units of 2^-shift."""
    acc, level = corners
    if len(acc) and (int(level[-1]) << shift) + multiplier * max(-int(acc[0]), int(acc[-1])) >= 1 << 62:
        acc, level = acc.astype(object), level.astype(object)
    rooms: list[int] = ((level << shift) - multiplier * acc).tolist()
    return rooms


def _first_difference(
    expected: Stairs, got: Stairs, lows: IntArray, highs: IntArray, levels: int
) -> IntArray:
    """First accumulator where two staircases differ, or `highs` where they are equal: int64 (1, C)."""
    first, second = (_first_reaching(stairs, lows, highs, levels) for stairs in (expected, got))
    return np.where(first != second, np.minimum(first, second), highs).min(axis=0, keepdims=True)


def _first_reaching(stairs: Stairs, lows: IntArray, highs: IntArray, levels: int) -> IntArray:
    """First accumulator in low..high to reach each level, or high + 1: int64 (levels, C), by bisection."""
    level = np.arange(1, levels + 1)[:, None]
    first, after = lows + 0 * level, highs + 1 + 0 * level  # the answer is in first..after
    while (first < after).any():
        middle = (first + after) >> 1
        reached = stairs(np.minimum(middle, highs)) >= level
        first, after = np.where(reached, first, middle + 1), np.where(reached, middle, after)
    return after
