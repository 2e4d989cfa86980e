"""Weights in step order, against the loops of the line buffer written out one by one."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.weights import MAX_ROM_WIDTH, rom_lanes, rom_text, rom_words, weight_steps
from hw.geometry import WindowGeometry, ceil_div


def by_loops(codes: np.ndarray, window: WindowGeometry, pe: int) -> list[list[list[int]]]:
    """What every PE multiplies in each step: group, repeat, rows, columns and chunk of the kernel in turn."""
    out = len(codes) // window.groups
    columns, channels = window.kernel[1], window.channels // window.groups
    steps = []
    for group in range(window.groups):
        for repeat in range(ceil_div(out, pe)):
            for top in range(0, window.kernel[0], window.row_lanes):
                for column in range(1 if window.groups == 1 else columns):
                    run = columns * channels if window.groups == 1 else channels
                    for chunk in range(0, run, window.run_lanes):
                        step = []
                        for p in range(pe):
                            lanes = []
                            for row in range(top, top + window.row_lanes):
                                for place in range(chunk, chunk + window.run_lanes):
                                    x, c = divmod(place, channels) if window.groups == 1 else (column, place)
                                    o = repeat * pe + p
                                    inside = row < window.kernel[0] and place < run and o < out
                                    lanes.append(int(codes[group * out + o, row, x, c]) if inside else 0)
                            step.append(lanes)
                        steps.append(step)
    return steps


@st.composite
def layers(draw: st.DrawFn) -> tuple[np.ndarray, WindowGeometry, int]:
    groups, inputs, outputs = draw(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    run = inputs * (kernel[1] if groups == 1 else 1)
    pe = draw(st.integers(1, outputs))
    row_lanes, run_lanes = draw(st.integers(1, kernel[0])), draw(st.integers(1, run))
    window = WindowGeometry(
        5, 4, groups * inputs, 1, kernel, groups=groups, repeats=ceil_div(outputs, pe),
        row_lanes=row_lanes, run_lanes=run_lanes,
    )  # fmt: skip
    bits = draw(st.integers(1, 8))
    codes = np.random.default_rng(draw(st.integers(0, 99))).integers(
        0, 1 << bits, (groups * outputs, *kernel, inputs), dtype=np.uint8
    )
    return codes, window, pe


@given(layers())
def test_weights_come_in_the_order_of_the_line_buffer(layer: tuple[np.ndarray, WindowGeometry, int]) -> None:
    codes, window, pe = layer
    steps = weight_steps(codes, window, pe)
    assert steps.shape == (window.groups * window.repeats * window.window_steps, pe, window.lanes)
    assert steps.tolist() == by_loops(codes, window, pe)


def test_pixels_side_by_side_share_their_weights() -> None:
    codes = np.random.default_rng(0).integers(0, 16, (3, 3, 2, 2), dtype=np.uint8)
    one = WindowGeometry(5, 5, 2, 1, (3, 2), row_lanes=1, run_lanes=4)
    two = WindowGeometry(5, 5, 2, 1, (3, 3), (1, 2), row_lanes=1, run_lanes=6, pixels=2)
    assert np.array_equal(weight_steps(codes, one, 3), weight_steps(codes, two, 3))


@given(st.integers(1, 2000), st.integers(1, 8))
def test_roms_are_as_few_as_576_bits_allow(simd: int, bits: int) -> None:
    parts = rom_lanes(simd, bits)
    assert parts[0][0] == 0 and parts[-1][1] == simd
    assert all(end == start for (_, end), (start, _) in pairwise(parts))
    assert all((end - start) * bits <= MAX_ROM_WIDTH == 576 for start, end in parts)
    assert len(parts) == ceil_div(simd, MAX_ROM_WIDTH // bits)


@pytest.mark.parametrize(
    ("simd", "bits", "parts"), [(72, 8, 1), (73, 8, 2), (576, 1, 1), (577, 1, 2), (83, 7, 2)]
)
def test_a_rom_is_split_above_576_bits(simd: int, bits: int, parts: int) -> None:
    assert len(rom_lanes(simd, bits)) == parts


def test_rom_text_has_one_word_a_line_the_first_lane_lowest() -> None:
    rows = np.array([[1, 2, 3], [7, 0, 5]], dtype=np.uint8)
    assert rom_text(rows, 3) == b"0d1\n147\n"
    assert rom_words(rows, 3) == [0b011_010_001, 0b101_000_111]


@given(st.integers(1, 40), st.integers(1, 8), st.integers(1, 5))
def test_every_line_of_a_rom_is_as_wide_as_the_rom(lanes: int, bits: int, steps: int) -> None:
    rows = np.random.default_rng(lanes).integers(0, 1 << bits, (steps, lanes), dtype=np.uint8)
    text = rom_text(rows, bits).decode().splitlines()
    assert [len(line) for line in text] == [ceil_div(lanes * bits, 4)] * steps
    assert [int(line, 16) for line in text] == rom_words(rows, bits)
