# amaranth: UnusedElaboratable=no
"""The matrix-vector unit and what follows it, each alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hw.matrix_vector import ArrayShape, MatrixVectorUnit, Recentre, Serialiser, serial_lanes

from .bench import pump
from .cases import Draw, seeds


def array_shape(pe: int, simd: int, bits: tuple[int, int], steps: int = 1) -> ArrayShape:
    """As wide as codes of these bits need, and no wider."""
    weight, code = ((1 << width) - 1 for width in bits)
    total = simd * steps * code
    return ArrayShape(pe, simd, *bits, weight * total, total, -weight * total, weight * total)


@pytest.mark.parametrize("seed", seeds(24, 120))
def test_unit_adds_up_windows(seed: int) -> None:
    """Windows of any number of steps, back to back or with pauses inside and between; with products of
    multipliers and of logic."""
    draw = Draw(seed, {})
    pe, simd, steps, bits = draw.whole(1, 4), draw.whole(1, 9), draw.whole(1, 4), draw.pair(1, 8)
    unit = MatrixVectorUnit(replace(array_shape(pe, simd, bits, steps), logic=seed % 2 == 1))
    codes, weights = draw.codes(bits[1], 4, steps, simd), draw.codes(bits[0], 4, steps, pe, simd)
    beats: list[Any] = []
    beside: list[list[int]] = []
    expected = []
    for window in range(4):
        for step in range(steps):
            for _ in range(draw.one_of(0, 0, 0, 2)):
                beats.append(None)
                beside.append([(1 << bits[0]) - 1] * (pe * simd))
            flags = {"first": step == 0, "last": step == steps - 1}
            beats.append({"codes": codes[window, step].tolist()} | flags)
            beside.append(weights[window, step].ravel().tolist())
        raw = np.einsum("sk,spk->p", codes[window], weights[window]).tolist()
        sums = {"raw": raw, "totals": [int(codes[window].sum())]}
        expected.append((len(beats) - 1 + MatrixVectorUnit.latency_of(simd), sums))
    came = pump(unit, beats, beside={"weights": beside})
    assert came == expected, f"seed {seed}: {unit.array}, {steps} steps"


@pytest.mark.parametrize(("simd", "levels"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4)])
def test_unit_has_a_register_for_each_level_of_its_tree(simd: int, levels: int) -> None:
    assert MatrixVectorUnit.latency_of(simd) == 3 + levels


@pytest.mark.parametrize("seed", range(24))
def test_serialiser_sends_the_lowest_channels_first_and_drops_the_tail(seed: int) -> None:
    draw = Draw(seed, {})
    pe, pixels = draw.whole(1, 8), draw.one_of(1, 1, 2, 3)
    lanes = draw.one_of(*(count for count in range(1, pe + 1) if pe % count == 0))
    each = pe // lanes
    windows, tail = draw.whole(1, 3), draw.whole(1, each) if pixels == 1 else pixels * each
    unit = Serialiser(replace(array_shape(pe, 1, (3, 4)), pixels=pixels), lanes, windows, tail)
    beats: list[Any] = []
    expected = []
    for window in range(2 * windows + 1):
        raw, totals = draw.codes(6, pixels * pe).tolist(), draw.codes(4, pixels).tolist()
        count = tail if window % windows == windows - 1 else pixels * each
        for beat in range(count):
            sums = {"raw": raw[beat * lanes : (beat + 1) * lanes], "totals": [totals[beat // each]]}
            expected.append((len(beats) + 1 + beat, sums))
        beats += [{"raw": raw, "totals": totals}] + [None] * (pixels * each - 1 + draw.one_of(0, 0, 3))
    assert pump(unit, beats) == expected, (
        f"seed {seed}: {pe} PEs, {pixels} pixels, {lanes} lanes, {windows} windows, tail {tail}"
    )


def test_serialiser_wants_lanes_that_divide_the_pes() -> None:
    with pytest.raises(ValueError) as caught:
        Serialiser(array_shape(6, 1, (1, 1)), 4, 1, 1)
    assert str(caught.value) == "lanes must divide the 6 PEs, not 4"


@pytest.mark.parametrize("pe", range(1, 13))
def test_serial_lanes_are_the_fewest_that_keep_up(pe: int) -> None:
    for steps in range(1, 15):
        fits = [lanes for lanes in range(1, pe + 1) if pe % lanes == 0 and pe // lanes <= steps]
        assert serial_lanes(pe, steps) == fits[0], f"{pe} PEs in {steps} steps"


@pytest.mark.parametrize("bits", [(1, 1), (1, 8), (3, 4), (8, 1), (8, 8)], ids=str)
def test_recentre_turns_code_sums_into_weight_sums(bits: tuple[int, int]) -> None:
    """From the lowest accumulator there is to the highest."""
    array = array_shape(1, 3, bits)
    middle = (1 << bits[0]) - 1
    corners = [(0, 0), (0, array.total_high), (array.raw_high, array.total_high)]
    rng = np.random.default_rng(bits)
    totals = rng.integers(0, array.total_high + 1, 20).tolist()
    corners += [(int(rng.integers(0, middle * total + 1)), total) for total in totals]
    beats = [{"raw": [raw, middle * total - raw], "totals": [total]} for raw, total in corners]
    expected = [[2 * raw - middle * total, middle * total - 2 * raw] for raw, total in corners]
    assert pump(Recentre(array, 2), beats) == list(enumerate(expected, start=Recentre.latency)), array
