# amaranth: UnusedElaboratable=no
"""Whole engines: random layers, folds and stalls, against the golden operation and the cycle model."""

from typing import Any

import numpy as np
import pytest

from hw.geometry import WindowGeometry
from hw.layers import PoolLayer
from sim.ports import Stall

from .cases import FORMS, Draw, conv_case, pool_case, seeds


def stall_of(seed: int) -> Stall:
    return Stall((1 + seed % 6) / 10, seed)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", seeds(12, 150))
def test_convolution_is_golden_and_in_time(seed: int, form: str) -> None:
    """Law: Cycles are known before anything is simulated."""
    conv_case(seed, form=form).check()


@pytest.mark.parametrize("seed", seeds(30, 300))
def test_convolution_is_golden_whoever_stalls(seed: int) -> None:
    conv_case(seed + 1000).check(stall_of(seed))


@pytest.mark.parametrize("seed", seeds(12, 120))
def test_neighbouring_pixels_at_once_are_golden_and_in_time(seed: int) -> None:
    """Law: Neighbouring pixels share their weights."""
    draw = Draw(seed, {})
    pixels, stride, out = draw.whole(2, 4), draw.pair(1, 3), draw.whole(1, 3)
    kernel = draw.whole(pixels, 5), draw.whole(1, 4)
    padding = draw.whole(0, min(2, kernel[0] - 1)), draw.whole(0, min(1, kernel[1] - 1))
    columns = (out * pixels - 1) * stride[1] + kernel[1] - 2 * padding[1] + draw.whole(0, stride[1] - 1)
    shape = {"kernel": kernel, "stride": stride, "padding": padding, "groups": 1, "pixels": pixels}
    case = conv_case(seed, size=(draw.whole(kernel[0], 7), max(1, columns)), **shape)
    assert case.layer.fold.pixels == pixels, f"seed {seed}: {case}"
    case.check()
    case.check(stall_of(seed))


@pytest.mark.parametrize("seed", seeds(24, 200))
def test_pooling_is_golden_and_in_time(seed: int) -> None:
    pool_case(seed).check()


@pytest.mark.parametrize("seed", seeds(16, 200))
def test_pooling_is_golden_whoever_stalls(seed: int) -> None:
    pool_case(seed + 1000).check(stall_of(seed))


def test_the_quick_seeds_reach_every_corner() -> None:
    """What is drawn at random is drawn often enough."""
    convs = [conv_case(seed, form=form) for seed in range(12) for form in FORMS]
    convs += [conv_case(seed + 1000) for seed in range(30)]
    assert {case.layer.stage.weights.bits for case in convs} == set(range(1, 9))
    assert {case.layer.stage.source.bits for case in convs} == set(range(1, 9))
    corners: dict[str, Any] = {
        "rows rotate": lambda case, g: g.rotates_rows,
        "runs rotate": lambda case, g: g.rotates_runs,
        "groups": lambda case, g: g.groups > 1 and g.kernel[1] > 1 and g.kernel[0] > 1,
        "rows do not divide": lambda case, g: g.kernel[0] % g.row_lanes,
        "run does not divide": lambda case, g: g.run % g.run_lanes,
        "input lanes do not divide": lambda case, g: g.channels % g.in_lanes and g.pixel_beats > 1,
        "input lanes beyond a pixel": lambda case, g: g.in_lanes > g.channels,
        "channels leave a tail": lambda case, g: (
            case.layer.timing.reservation.tail < case.layer.timing.reservation.full
        ),
        "several lanes leave": lambda case, g: 1 < case.layer.timing.lanes < case.values.shape[-1],
        "last beat is padded": lambda case, g: case.values.shape[-1] % case.layer.timing.lanes,
        "pixels side by side": lambda case, g: g.pixels > 1,
        "fewest rows": lambda case, g: g.buffer_rows == g.least_rows,
        "kernel larger than the map": lambda case, g: g.kernel[0] > g.rows and g.kernel[1] > g.columns,
        "stride beyond the kernel": lambda case, g: g.stride[0] > g.kernel[0] or g.stride[1] > g.kernel[1],
        "codes over their range": lambda case, g: case.layer.form and len(np.unique(case.values)) > 3,
        "a scale of each channel": lambda case, g: case.layer.form and case.layer.form.channels > 1,
    }
    missing = [
        name for name, reached in corners.items() if sum(bool(reached(c, c.window)) for c in convs) < 3
    ]
    assert missing == []
    pools = [pool_case(seed) for seed in range(24)]
    assert {"overlap", "padding", "taps", "groups"} == {
        name
        for case in pools
        for name, reached in (
            ("overlap", case.window.kernel > case.window.stride),
            ("padding", any(case.window.padding)),
            ("taps", case.window.run_lanes > case.layer.timing.lanes),
            ("groups", case.window.groups > 1),
        )
        if reached
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "corner",
    [
        {"size": (1, 1), "kernel": (1, 1), "padding": (0, 0)},
        {"size": (1, 1), "kernel": (3, 3), "padding": (1, 1)},
        {"size": (1, 7), "kernel": (1, 3), "padding": (0, 1)},
        {"size": (7, 1), "kernel": (3, 1), "padding": (1, 0)},
        {"size": (3, 4), "kernel": (3, 4), "padding": (0, 0), "groups": 1, "out": 10},
        {"size": (1, 1), "kernel": (1, 1), "padding": (0, 0), "groups": 1, "channels": 24, "out": 7},
    ],
    ids=["1x1", "1x1 in padding", "one row", "one column", "kernel is the map", "fully connected"],
)
def test_smallest_maps(corner: dict[str, Any], seed: int) -> None:
    conv_case(seed, images=4, **corner).check()


@pytest.mark.parametrize(
    ("kernel", "padding"), [((3, 3), (1, 1)), ((1, 1), (0, 0)), ((3, 1), (1, 0))], ids=str
)
@pytest.mark.parametrize("form", FORMS)
def test_fully_parallel_starts_a_window_every_cycle(
    form: str, kernel: tuple[int, int], padding: tuple[int, int]
) -> None:
    """From the first window on, over rows and images; one row more than the default lets writing keep up."""
    shape: dict[str, Any] = {"kernel": kernel, "padding": padding, "size": (4, 4), "channels": 3, "out": 5}
    lanes = {"in_lanes": 3, "pe": 5, "simd": (kernel[0], 3 * kernel[1]), "fifo_depth": 0}
    rows = 3 * kernel[0]
    case = conv_case(8, stride=(1, 1), groups=1, form=form, images=3, buffer_rows=rows, **shape, **lanes)
    assert case.window.window_steps == 1
    starts = case.check()["starts"].cycles
    assert len(starts) == 48 and set(np.diff(starts)) == {1}


def test_fully_connected_and_fully_parallel_takes_an_image_every_cycle() -> None:
    lanes = {"in_lanes": 12, "pe": 6, "simd": (1, 12), "channels": 12, "out": 6}
    case = conv_case(
        3,
        kernel=(1, 1),
        padding=(0, 0),
        size=(1, 1),
        groups=1,
        images=20,
        buffer_rows=8,
        fifo_depth=0,
        **lanes,
    )
    assert set(np.diff(case.check()["starts"].cycles)) == {1}


@pytest.mark.parametrize("taps", [(1, 1), (1, 3), (3, 3), (2, 2)], ids=str)
def test_overlapping_pooling(taps: tuple[int, int]) -> None:
    for padding in ((0, 0), (1, 1)):
        pool_case(
            1, kernel=(3, 3), stride=(2, 2), size=(7, 5), padding=padding, groups=1, channels=2, taps=taps
        ).check()


@pytest.mark.parametrize(("groups", "run_lanes"), [(1, 1), (1, 3), (2, 1)])
def test_words_for_pooling_over_parts_of_a_position(groups: int, run_lanes: int) -> None:
    window = WindowGeometry(4, 4, 2 * groups, 1, (2, 2), groups=groups, run_lanes=run_lanes)
    with pytest.raises(ValueError) as caught:
        PoolLayer(window, 4)
    assert str(caught.value) == f"run_lanes must be whole kernel positions of 2 channels, not {run_lanes}"
