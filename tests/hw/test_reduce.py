"""Maxima: over the steps of a window, and over all classes."""

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Shape, signed, unsigned

from hw.reduce import Argmax, MaxReduce
from sim.amaranth_bench import AmaranthBench
from sim.ports import NO_STALL, Record, Stall

from .bench import Watched, pump
from .cases import Draw, seeds


@pytest.mark.parametrize("seed", seeds(16, 80))
def test_max_of_each_channel_over_a_window(seed: int) -> None:
    draw = Draw(seed, {})
    bits, channels, taps, steps = draw.whole(1, 8), draw.whole(1, 3), draw.whole(1, 5), draw.whole(1, 3)
    codes = draw.codes(bits, 5, steps, taps, channels)
    beats: list[Any] = []
    expected = []
    for window in codes:
        for step, taken in enumerate(window):
            beats += [None] * draw.one_of(0, 0, 2)
            flags = {"first": step == 0, "last": step == steps - 1}
            beats.append({"codes": taken.ravel().tolist()} | flags)
        expected.append((len(beats) - 1 + MaxReduce.latency_of(taps), window.max(axis=(0, 1)).tolist()))
    came = pump(MaxReduce(bits, channels, taps), beats)
    assert came == expected, f"seed {seed}: {bits} bits, {channels} channels, {taps} taps, {steps} steps"


def argmax(shape: Shape, lanes: int, scores: np.ndarray, stall: Stall = NO_STALL) -> Record:
    """Runs scores (images, count) through an argmax; lanes beside the last one hold the largest number."""
    high = (1 << (shape.width - shape.signed)) - 1
    spare = -scores.shape[1] % lanes
    beats = np.pad(scores, ((0, 0), (0, spare)), constant_values=high).reshape(-1, lanes)
    dut = Watched(Argmax(shape, lanes, scores.shape[1]))
    record = AmaranthBench(dut).run({"i": beats}, {"o": len(scores)}, stall=stall)
    assert len(record["broken"].cycles) == 0
    assert record["o"].codes.ravel().tolist() == scores.argmax(axis=1).tolist(), f"{lanes} lanes: {scores}"
    return record


@pytest.mark.parametrize("count", [1, 2, 7, 10])
@pytest.mark.parametrize("lanes", [1, 2, 3, 10, 12])
def test_argmax_takes_the_lowest_of_equals(lanes: int, count: int) -> None:
    """Few different numbers, so that most maxima come more than once; all negative in the first half."""
    rng = np.random.default_rng([lanes, count])
    scores = rng.integers(-8, 8, (12, count))
    scores[:6] = rng.integers(-8, -5, (6, count))
    argmax(signed(4), lanes, scores)
    argmax(unsigned(2), lanes, rng.integers(0, 4, (8, count)))


@pytest.mark.parametrize("lanes", [1, 3, 5])
def test_argmax_takes_a_beat_a_cycle_and_answers_a_tree_later(lanes: int) -> None:
    scores = np.random.default_rng(lanes).integers(-100, 100, (6, 5))
    record = argmax(signed(8), lanes, scores)
    beats = -(-5 // lanes)
    assert record["i"].cycles.tolist() == list(range(6 * beats))
    delay = {1: 1, 3: 3, 5: 4}[lanes]
    assert Argmax.latency_of(lanes) == delay
    assert record["o"].cycles.tolist() == [beats * (image + 1) - 1 + delay for image in range(6)]


@pytest.mark.parametrize("seed", range(12))
def test_argmax_waits_for_who_takes_its_answer(seed: int) -> None:
    draw = Draw(seed, {})
    lanes, count = draw.whole(1, 4), draw.whole(1, 9)
    scores = draw.rng.integers(-3, 3, (20, count))
    argmax(signed(3), lanes, scores, Stall(0.1 * draw.whole(1, 8), seed))
