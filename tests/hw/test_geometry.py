"""The tables of a sliding window, each against a loop over the map."""

from dataclasses import replace
from typing import Any

import pytest

from hw.geometry import WindowGeometry, ceil_div

from .cases import geometry_case

PLAIN = WindowGeometry(6, 5, 4, 2, (3, 2), (1, 1), (1, 1), groups=1, row_lanes=2, run_lanes=4)


def rows_under(g: WindowGeometry, out_row: int) -> list[int]:
    """The map's rows that a window in this output row covers; negative or too large ones lie outside."""
    return [out_row * g.stride[0] - g.padding[0] + k for k in range(g.kernel[0])]


@pytest.mark.parametrize("numerator", range(9))
def test_ceil_div_is_the_smallest_that_is_enough(numerator: int) -> None:
    for denominator in range(1, 6):
        assert ceil_div(numerator, denominator) == next(k for k in range(9) if k * denominator >= numerator)


@pytest.mark.parametrize("seed", range(200))
def test_sizes(seed: int) -> None:
    g = geometry_case(seed)
    tops = [
        top for top in range(-g.padding[0], g.rows + g.padding[0]) if (top + g.padding[0]) % g.stride[0] == 0
    ]
    lefts = [
        x for x in range(-g.padding[1], g.columns + g.padding[1]) if (x + g.padding[1]) % g.stride[1] == 0
    ]
    assert g.out_rows == sum(top + g.kernel[0] <= g.rows + g.padding[0] for top in tops), g
    assert g.out_columns == sum(left + g.kernel[1] <= g.columns + g.padding[1] for left in lefts), g
    elements = g.kernel[0] * g.kernel[1] * g.channels // g.groups
    assert g.window_steps * g.lanes >= elements, g
    assert (g.kernel[0] * (1 if g.groups == 1 else g.kernel[1])) * g.run == elements, g
    assert (
        g.steps
        == g.out_rows * g.row_steps
        == g.out_rows * g.out_columns * g.groups * g.repeats * g.window_steps
    ), g
    assert g.pixel_granules * g.granule == g.channels and g.run_banks * g.granule == g.run_lanes, g
    assert g.row_words * g.run_lanes >= g.columns * g.channels > (g.row_words - 1) * g.run_lanes, g
    assert g.write_cycles * g.sub_beat == g.rows * g.columns * g.channels, g


@pytest.mark.parametrize("seed", range(200))
def test_release_and_need(seed: int) -> None:
    """A row is held until the last window over it is through; a window waits for the rows under it."""
    g = geometry_case(seed)
    held_from = 0
    for row in range(g.out_rows):
        later = [min(k for k in rows_under(g, after) if k >= 0) for after in range(row + 1, g.out_rows)]
        gone = min([*later, g.rows]) - held_from
        last = max(k for k in rows_under(g, row) if k < g.rows)
        assert g.release[row] == gone, f"{g}, output row {row}"
        assert g.need[row] == max(last + 1 - held_from, gone), f"{g}, output row {row}"
        held_from += gone
    assert held_from == g.rows, g
    assert g.least_rows == max(g.row_lanes * ceil_div(g.kernel[0], g.row_lanes), *g.need), g


@pytest.mark.parametrize("seed", range(200))
def test_bounds(seed: int) -> None:
    g = geometry_case(seed)
    for row, (first, end) in enumerate(g.row_bounds):
        assert [k for k, y in enumerate(rows_under(g, row)) if 0 <= y < g.rows] == list(range(first, end)), g
    for column, (first, end) in enumerate(g.column_bounds):
        left = column * g.stride[1] - g.padding[1]
        assert [k for k in range(g.kernel[1]) if 0 <= left + k < g.columns] == list(range(first, end)), g


@pytest.mark.parametrize("seed", range(200))
def test_rotation_is_there_exactly_where_a_step_starts_at_another_bank(seed: int) -> None:
    g = geometry_case(seed)
    tops = [
        image * g.rows + row * g.stride[0] - g.padding[0]
        for image in range(g.row_lanes)
        for row in range(g.out_rows)
    ]
    assert g.rotates_rows == any(top % g.row_lanes for top in tops), g
    starts = [
        (column * g.stride[1] - g.padding[1] + kernel_column) * g.pixel_granules
        + group * (g.pixel_granules // g.groups)
        for column in range(g.out_columns)
        for kernel_column in range(g.loops[5])
        for group in range(g.groups)
    ]
    assert g.rotates_runs == any(start % g.run_banks for start in starts), g
    assert g.rotates == (g.rotates_rows or g.rotates_runs)


def test_default_memory_holds_two_windows() -> None:
    assert (PLAIN.least_rows, PLAIN.buffer_rows) == (4, 8)
    assert replace(PLAIN, row_lanes=3, buffer_rows=0).buffer_rows == 6
    assert replace(PLAIN, stride=(4, 1), buffer_rows=0).need == (3, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({name: 0}, f"{name} must be at least 1, not 0")
        for name in ("rows", "columns", "channels", "in_lanes", "groups", "repeats", "row_lanes", "run_lanes")
    ]
    + [
        ({"rows": -2}, "rows must be at least 1, not -2"),
        ({"groups": 3}, "groups must divide the 4 channels, not 3"),
        (
            {"kernel": (0, 2)},
            "kernel and stride must be at least 1 and padding at least 0, not (0, 2), (1, 1), (1, 1)",
        ),
        (
            {"stride": (1, 0)},
            "kernel and stride must be at least 1 and padding at least 0, not (3, 2), (1, 0), (1, 1)",
        ),
        (
            {"padding": (-1, 0)},
            "kernel and stride must be at least 1 and padding at least 0, not (3, 2), (1, 1), (-1, 0)",
        ),
        ({"kernel": (9, 2)}, "kernel must fit into the padded map of 6 + 2 * 1, not 9"),
        ({"kernel": (3, 8)}, "kernel must fit into the padded map of 5 + 2 * 1, not 8"),
        ({"padding": (3, 1)}, "padding must be below the kernel (3, 2), not (3, 1)"),
        ({"padding": (1, 2)}, "padding must be below the kernel (3, 2), not (1, 2)"),
        ({"row_lanes": 4}, "row_lanes must be at most the kernel's 3 rows, not 4"),
        ({"run_lanes": 9}, "run_lanes must be at most the run of 8, not 9"),
        ({"groups": 2, "run_lanes": 3}, "run_lanes must be at most the run of 2, not 3"),
        ({"buffer_rows": 2}, "buffer_rows must be a multiple of row_lanes (2) and at least 4, not 2"),
        ({"buffer_rows": 5}, "buffer_rows must be a multiple of row_lanes (2) and at least 4, not 5"),
        ({"buffer_rows": -2}, "buffer_rows must be a multiple of row_lanes (2) and at least 4, not -2"),
    ],
)
def test_words_for_a_bad_field(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        replace(PLAIN, **change)
    assert str(caught.value) == words
