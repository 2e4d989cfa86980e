"""Where the first difference is, and how many there are."""

import numpy as np
import pytest

from sim.ports import Record, StreamRecord
from sim.scoreboard import Difference, Expectation, compare, compare_cycles

VALUES = np.arange(2 * 2 * 3 * 5).reshape(2, 2, 3, 5)  # images, rows, columns, channels


def record(values: np.ndarray, lanes: int = 2) -> Record:
    """What two-lane beats of ``values`` look like when one moves in every third cycle."""
    pixels = values.reshape(-1, values.shape[-1])
    beats = np.pad(pixels, ((0, 0), (0, -pixels.shape[1] % lanes))).reshape(-1, lanes)
    return {"s": StreamRecord(3 * np.arange(len(beats)), beats)}


def test_equal_values_have_no_difference_and_padding_is_not_looked_at() -> None:
    same = record(VALUES)
    same["s"].codes[2::3, 1] = 99
    assert compare(same, [Expectation("s", "conv", VALUES)]) == []


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ((0, 0, 0, 0), "image 0, row 0, column 0, channel 0: expected 0, got 7 in cycle 0"),
        ((1, 1, 2, 4), "image 1, row 1, column 2, channel 4: expected 59, got 7 in cycle 105"),
        ((0, 1, 0, 3), "image 0, row 1, column 0, channel 3: expected 18, got 7 in cycle 30"),
    ],
)
def test_a_difference_names_its_place_and_cycle(place: tuple[int, ...], words: str) -> None:
    wrong = VALUES.copy()
    wrong[place] = 7
    assert compare(record(wrong), [Expectation("s", "conv", VALUES)]) == [Difference("conv", words, 1)]


def test_differences_are_counted_and_the_first_is_named() -> None:
    found = compare(record(VALUES + (VALUES > 40)), [Expectation("s", "conv", VALUES)])
    assert str(found[0]) == (
        "conv: image 1, row 0, column 2, channel 1: expected 41, got 42 in cycle 72 (the first of 19)"
    )


def test_a_missing_beat_is_a_difference() -> None:
    short = record(VALUES[:, :1])
    message = "expected 36 beats, got 18"
    assert compare(short, [Expectation("s", "conv", VALUES)]) == [Difference("conv", message, 1)]


def test_classes_have_one_axis() -> None:
    run = {"o": StreamRecord(np.array([5, 9]), np.array([[3], [4]]))}
    found = compare(run, [Expectation("o", "argmax", np.array([3, 8]))])
    assert found == [Difference("argmax", "image 1: expected 8, got 4 in cycle 9", 1)]


def test_cycles_must_be_those_predicted() -> None:
    run = record(VALUES)
    right = run["s"].cycles.tolist()
    assert compare_cycles(run, {"s": right}) == []
    late = [*right[:10], right[10] - 1, *right[11:]]
    message = "beat 10: predicted in cycle 29, moved in cycle 30"
    assert compare_cycles(run, {"s": late}) == [Difference("s", message, 1)]
    assert compare_cycles(run, {"s": right[:-1]}) == [Difference("s", "predicted 35 beats, got 36", 1)]


def test_where_streams_pause_beats_may_be_late_but_not_early() -> None:
    run = record(VALUES)
    right = [3 * beat for beat in range(36)]
    assert compare_cycles(run, {"s": [cycle - cycle % 7 for cycle in right]}, stalled=True) == []
    early = [*right[:10], right[10] + 1, *right[11:]]
    message = "beat 10: predicted at the earliest in cycle 31, moved in cycle 30"
    assert compare_cycles(run, {"s": early}, stalled=True) == [Difference("s", message, 1)]
    assert compare_cycles(run, {"s": right[:-1]}, stalled=True) == [
        Difference("s", "predicted 35 beats, got 36", 1)
    ]
