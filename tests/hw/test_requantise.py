# amaranth: UnusedElaboratable=no
"""Both requantisations over the whole range of accumulators, with worse parameters than networks have."""

from collections.abc import Sequence
from itertools import cycle
from random import Random
from typing import Any

import numpy as np
import pytest

from codegen.ir import Requantise
from codegen.requantise import ScaleForm, ThresholdForm, scale_form, threshold_form
from hw.requantise import ScaleRequantise, ThresholdRequantise

from .bench import pump
from .cases import Draw, seeds

RANGES = [(-128, 127), (-129, 128), (0, 255), (0, 256), (5, 100), (-100, -5), (-1, 0), (0, 1), (-37, 2)]


def whole_range(low: int, high: int, channels: int) -> list[list[int]]:
    """Every accumulator, for every channel: pixels (accumulators, channels)."""
    return [[acc] * channels for acc in range(low, high + 1)]


def run(unit: ScaleRequantise | ThresholdRequantise, pixels: Sequence[Sequence[int]]) -> list[list[int]]:
    """What leaves for these pixels; a pause after each third beat, junk in lanes beside the last channel."""
    channels = len(pixels[0])
    beats: list[Any] = []
    for pixel in pixels:
        padded = [*pixel, *[unit.low] * (-channels % unit.lanes)]
        beats += [padded[k : k + unit.lanes] for k in range(0, len(padded), unit.lanes)]
    spaced = [beat for k, beat in enumerate(beats) for beat in ([beat, None] if k % 3 == 2 else [beat])]
    came = pump(unit, spaced)
    assert [cycle - unit.latency for cycle, _ in came] == [
        k for k, beat in enumerate(spaced) if beat is not None
    ]
    flat = np.array([beat for _, beat in came]).reshape(len(pixels), -1)
    return flat[:, :channels].tolist()


@pytest.mark.parametrize("ends", RANGES, ids=str)
@pytest.mark.parametrize(
    ("multiplier", "offset", "shift", "bits"),
    [
        ((0,), (0,), 0, 1),
        ((0,), (-1,), 0, 3),
        ((0,), (24,), 3, 2),
        ((1,), (0,), 0, 8),
        ((1,), (-1,), 0, 1),
        ((255,), (-32640,), 13, 4),
        ((7,), (5000,), 3, 8),
        ((1,), (100,), 20, 4),
        ((3, 0, 64), (-200, 9, 1), 4, 4),
        ((1, 127), (-(1 << 20), 1 << 20), 12, 8),
    ],
)
def test_scale_over_its_whole_range(
    multiplier: tuple[int, ...], offset: tuple[int, ...], shift: int, bits: int, ends: tuple[int, int]
) -> None:
    unit = ScaleRequantise(*ends, 2, bits, multiplier, offset, shift)
    pixels = whole_range(*ends, channels=max(2, len(multiplier)))
    expected = ScaleForm(multiplier, offset, shift, bits).apply(np.array(pixels)).tolist()
    assert run(unit, pixels) == expected


WIDTHS = [(18, 17), (18, 18), (19, 17), (18, 51), (19, 35), (35, 18), (36, 34), (20, 44), (44, 70)]
"""Bits of an accumulator with its sign and of a multiplier, on both sides of where a part is added."""


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("acc_bits", "multiplier_bits"), WIDTHS)
def test_scale_cuts_wide_numbers_for_its_multipliers(
    acc_bits: int, multiplier_bits: int, channels: int
) -> None:
    """All ones, a single one, and random bits, wherever a carry may go from a part to the next."""
    random = Random(f"{acc_bits} {multiplier_bits} {channels}")
    half, top = 1 << acc_bits - 1, (1 << multiplier_bits) - 1
    pixels = [[acc] * max(2, channels) for acc in (-half, half - 1, -1, 0, 1, half >> 1)]
    pixels += [[random.randrange(-half, half) for _ in range(max(2, channels))] for _ in range(60)]
    multiplier = [top, 1 << multiplier_bits - 1, random.randrange(top)][:channels]
    offset = [random.randrange(-half * top, half * top) for _ in multiplier]
    for shift in (acc_bits + multiplier_bits - 6, multiplier_bits):
        unit = ScaleRequantise(-half, half - 1, 2, 5, multiplier, offset, shift)
        expected = [
            [
                min(max((m * acc + o) >> shift, 0), 31)
                for acc, m, o in zip(pixel, cycle(multiplier), cycle(offset))
            ]
            for pixel in pixels
        ]
        assert run(unit, pixels) == expected


def test_latency_of_a_scale_grows_by_a_cycle_where_its_tree_gets_a_level() -> None:
    def cycles(acc_bits: int, multiplier_bits: int) -> int:
        half = 1 << acc_bits - 1
        return ScaleRequantise.latency_of(-half, half - 1, (1 << multiplier_bits) - 1)

    found = [cycles(*widths) - cycles(1, 1) for widths in WIDTHS]
    assert found == [0, 1, 1, 1, 2, 2, 2, 2, 3]  # 1, 2, 2, 3, 6, 4, 6, 6 and 15 products


@pytest.mark.parametrize("ends", RANGES, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [1, 2, 3])
def test_thresholds_over_the_whole_range(bits: int, channels: int, ends: tuple[int, int]) -> None:
    """Thresholds at and beyond both ends, equal ones, and random ones."""
    low, high = ends
    rng = np.random.default_rng([bits, channels, low & 0xFFFF, high & 0xFFFF])
    count = (1 << bits) - 1
    rows = [sorted(rng.integers(low, high + 2, count).tolist()) for _ in range(channels)]
    rows[-1][0], rows[-1][-1] = low, high + 1 if count > 1 else low
    rows[0] = [rows[0][0]] * count if bits == 2 else rows[0]
    unit = ThresholdRequantise(low, high, 2, bits, rows)
    pixels = whole_range(low, high, channels=max(2, channels))
    form = ThresholdForm(tuple(map(tuple, rows)), bits)
    assert run(unit, pixels) == form.apply(np.array(pixels)).tolist(), rows


@pytest.mark.parametrize("seed", seeds(12, 120))
def test_both_forms_are_the_definition(seed: int) -> None:
    """Each channel over its own range; the forms are those that a build would find."""
    draw = Draw(seed, {})
    channels, bits, weight_bits, fraction = (
        draw.whole(1, 4),
        draw.whole(1, 4),
        draw.whole(1, 8),
        draw.whole(0, 12),
    )
    low, high = -draw.rng.integers(0, 200, channels), draw.rng.integers(0, 200, channels)
    shape = draw.one_of((), (channels,))
    divisor = ((1 << weight_bits) - 1) << fraction
    alpha = draw.rng.integers(1, max(2, (divisor << bits) // 60), shape)
    op = Requantise(alpha, draw.rng.integers(-4 * divisor, 4 * divisor, shape), weight_bits, fraction, bits)
    accumulators = np.clip(np.arange(low.min(), high.max() + 1)[:, None], low, high)
    expected = op.apply(accumulators).tolist()
    scale, thresholds = scale_form(op, low, high), threshold_form(op, low, high)
    ends = int(low.min()), int(high.max())
    lanes = draw.whole(1, 3)
    for unit in (
        ScaleRequantise(*ends, lanes, bits, scale.multiplier, scale.offset, scale.shift),
        ThresholdRequantise(*ends, lanes, bits, thresholds.thresholds),
    ):
        assert run(unit, accumulators.tolist()) == expected, (
            f"seed {seed}: {op}, {low} to {high}, {lanes} lanes"
        )


@pytest.mark.parametrize(
    ("multiplier", "offset", "given"),
    [([-1], [0], "[-1]"), ([1, 2], [0], "[1, 2]"), ([3, -4], [0, 0], "[3, -4]")],
)
def test_words_for_bad_multipliers(multiplier: list[int], offset: list[int], given: str) -> None:
    with pytest.raises(ValueError) as caught:
        ScaleRequantise(-1, 1, 1, 1, multiplier, offset, 0)
    assert str(caught.value) == f"multipliers must not be negative and as many as offsets, not {given}"


@pytest.mark.parametrize("rows", [[[1, 2]], [[3, 2, 1]], [[1, 2, 3], [1, 3, 2]]], ids=str)
def test_words_for_bad_thresholds(rows: list[list[int]]) -> None:
    with pytest.raises(ValueError) as caught:
        ThresholdRequantise(-1, 1, 1, 2, rows)
    assert str(caught.value) == "thresholds must be rows of 3 in ascending order"
