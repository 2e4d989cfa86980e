"""Beats: packing, hexadecimal and back, for every width, lane count and sign."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen import beats as module
from codegen.beats import BeatFormat, lines

FORMATS = st.builds(BeatFormat, st.integers(1, 9), st.integers(1, 40), st.booleans())


def tensor(form: BeatFormat, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Random numbers that the format holds, its extremes among them."""
    low = -(1 << (form.bits - 1)) if form.signed else 0
    high = low + (1 << form.bits) - 1
    values = np.random.default_rng(seed).integers(low, high + 1, shape)
    values.flat[0], values.flat[-1] = low, high
    return values


def by_hand(form: BeatFormat, beat: np.ndarray) -> str:
    """A beat as text by Python's integers alone: the first number lowest."""
    mask = (1 << form.bits) - 1
    word = sum((int(number) & mask) << (place * form.bits) for place, number in enumerate(beat))
    return f"{word:0{-(-form.bits * form.lanes // 4)}x}"


@given(FORMATS, st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(0, 99))
def test_unpacking_undoes_packing(form: BeatFormat, shape: list[int], seed: int) -> None:
    values = tensor(form, tuple(shape), seed)
    beats = form.pack(values)
    assert beats.shape == (values.size // shape[-1] * -(-shape[-1] // form.lanes), form.lanes)
    assert np.array_equal(form.unpack(beats, values.shape), values)


@given(FORMATS, st.integers(1, 12), st.integers(0, 99))
def test_hexadecimal_is_what_python_prints_and_reads_back(form: BeatFormat, count: int, seed: int) -> None:
    beats = tensor(form, (count, form.lanes), seed)
    digits = form.to_hex(beats)
    assert lines(digits).decode().splitlines() == [by_hand(form, beat) for beat in beats]
    assert np.array_equal(form.from_hex(digits), beats)


def test_long_streams_are_cut_into_chunks_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    form = BeatFormat(3, 5, signed=True)
    beats = tensor(form, (100, 3), 0)
    whole = form.to_hex(beats)
    monkeypatch.setattr(module, "_CHUNK_BITS", 50)
    assert np.array_equal(form.to_hex(beats), whole)
    assert np.array_equal(form.from_hex(whole), beats)


def test_the_last_beat_of_each_pixel_is_padded_with_zeros() -> None:
    form = BeatFormat(2, 4)
    assert form.pack(np.array([[1, 2, 3], [4, 5, 6]])).tolist() == [[1, 2], [3, 0], [4, 5], [6, 0]]


def test_the_first_number_is_the_lowest_digit_and_minus_one_is_all_ones() -> None:
    assert lines(BeatFormat(3, 4).to_hex(np.array([[1, 2, 10]]))) == b"a21\n"
    assert lines(BeatFormat(2, 6, signed=True).to_hex(np.array([[-1, -32]]))) == b"83f\n"


@pytest.mark.parametrize(
    ("lanes", "bits", "digits"), [(1, 1, 1), (1, 4, 1), (1, 5, 2), (3, 7, 6), (72, 8, 144)]
)
def test_width_and_digits(lanes: int, bits: int, digits: int) -> None:
    form = BeatFormat(lanes, bits)
    assert (form.width, form.digits) == (lanes * bits, digits)


def test_a_stream_without_beats() -> None:
    form = BeatFormat(3, 5)
    assert form.to_hex(np.empty((0, 3), np.int64)).shape == (0, 4)
    assert form.from_hex(np.empty((0, 4), np.uint8)).shape == (0, 3)
