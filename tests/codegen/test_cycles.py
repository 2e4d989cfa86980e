"""The cycle model: facts that no simulation is needed for. That it is right, the accelerators show."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.cycles import Prediction, predict, steady_interval
from codegen.fold import fold
from codegen.plan import Plan, requantise_forms, size
from codegen.stages import MatrixVectorStage, fuse
from hw.timing import LayerTiming
from tests.networks import digits, random_chain, tiny


def plan_of(seed: int, budget: int) -> Plan:
    network = random_chain(seed)
    stages = fuse(network)
    return size(network, stages, fold(stages, budget), requantise_forms(stages))


def streams(prediction: Prediction) -> list[list[int]]:
    layers = [times for layer in prediction.layers for times in (layer.starts, layer.beats)]
    return [prediction.inputs, *layers, prediction.outputs]


@given(st.integers(0, 60), st.integers(4, 40))
def test_a_stream_moves_one_beat_a_cycle_at_most_and_all_there_are(seed: int, budget: int) -> None:
    plan = plan_of(seed, budget)
    prediction = plan.predict(2)
    assert all(later > earlier for times in streams(prediction) for earlier, later in pairwise(times))
    first = plan.layers[0].timing.window
    assert len(prediction.inputs) == 2 * first.rows * first.columns * first.pixel_beats
    for layer, cycles in zip(plan.layers, prediction.layers, strict=True):
        window, result = layer.timing.window, layer.stage.result
        pixels = result.rows * result.columns
        assert len(cycles.starts) == 2 * pixels * window.groups * window.repeats
        assert len(cycles.beats) == 2 * pixels * -(-result.channels // layer.timing.lanes)
    assert len(prediction.outputs) == (2 if plan.argmax else 0)


@given(st.integers(0, 60), st.integers(4, 40))
def test_later_images_change_nothing_that_came_before(seed: int, budget: int) -> None:
    plan = plan_of(seed, budget)
    for short, long in zip(streams(plan.predict(1)), streams(plan.predict(3)), strict=True):
        assert long[: len(short)] == short


@given(st.integers(0, 60), st.integers(4, 40))
def test_no_image_follows_sooner_than_the_pace(seed: int, budget: int) -> None:
    plan = plan_of(seed, budget)
    ends = plan.predict(6).image_ends
    assert len(ends) == 6
    assert ends[-1] - ends[0] >= 5 * plan.pace - plan.pace  # the first images may jitter by less than one
    assert min(b - a for a, b in pairwise(ends[2:])) <= plan.pace


@given(st.integers(0, 60), st.integers(4, 40), st.data())
def test_more_room_is_never_later(seed: int, budget: int, data: st.DataObject) -> None:
    timings = [layer.timing for layer in plan_of(seed, budget).layers]
    index = data.draw(st.integers(0, len(timings) - 1))
    roomy = list(timings)
    window = timings[index].window
    if data.draw(st.booleans()):
        roomy[index] = replace(timings[index], fifo_depth=timings[index].fifo_depth + 3)
    else:
        window = replace(window, buffer_rows=window.buffer_rows + window.row_lanes)
        roomy[index] = replace(timings[index], window=window)
    for before, after in zip(streams(predict(timings, 3)), streams(predict(roomy, 3)), strict=True):
        assert all(a <= b for a, b in zip(after, before, strict=True))


def test_the_first_step_waits_for_the_rows_of_the_first_window() -> None:
    network = digits()
    stages = fuse(network)
    plan = size(network, stages, fold(stages, 80), requantise_forms(stages))
    prediction = plan.predict(1)
    assert list(prediction.inputs[:24]) == list(range(24))  # three rows of eight pixels, one a cycle
    assert prediction.layers[0].starts[0] == 23 + 2
    assert prediction.layers[0].beats[0] == 25 + 1 + plan.layers[0].timing.latency + 1
    assert prediction.first_image_latency == prediction.image_ends[0] + 1 == prediction.outputs[0] + 1
    assert prediction.outputs[0] == prediction.layers[-1].beats[-1] + 1


def test_an_argmax_answers_once_an_image() -> None:
    timings = [layer.timing for layer in plan_of(21, 4).layers]
    beats = predict(timings, 3).layers[-1].beats
    each = len(beats) // 3
    assert list(predict(timings, 3, results=each).outputs) == [last + 1 for last in beats[each - 1 :: each]]


def least() -> list[LayerTiming]:
    network = tiny()
    stages = fuse(network)
    plan = size(network, stages, fold(stages, 8), requantise_forms(stages))
    return [layer.timing for layer in plan.layers]


def test_a_fifo_that_cannot_hold_a_window_stops_the_accelerator() -> None:
    layers = least()
    layers[0] = replace(layers[0], fifo_depth=layers[0].reservation.full - 1)
    with pytest.raises(RuntimeError) as error:
        predict(layers, 1)
    assert str(error.value) == (
        "the accelerator cannot go on: reader of layer 0, writer of layer 1, reader of layer 1, "
        "writer of layer 2, reader of layer 2, sink wait for each other"
    )


def test_a_line_buffer_without_room_for_a_window_stops_the_accelerator() -> None:
    layers = least()
    assert layers[0].window.least_rows == 3
    object.__setattr__(layers[0].window, "buffer_rows", 2)  # the geometry itself refuses it
    with pytest.raises(RuntimeError, match="cannot go on: writer of layer 0, reader of layer 0,"):
        predict(layers, 1)


def test_a_stopped_layer_further_on_stops_those_before_it() -> None:
    layers = least()
    object.__setattr__(layers[1].window, "buffer_rows", 2)
    with pytest.raises(RuntimeError, match="writer of layer 1, reader of layer 1, writer of layer 2"):
        predict(layers, 2)


@pytest.mark.parametrize(
    ("ends", "interval"),
    [
        ([9], 10.0),
        ([9, 19], 10.0),
        ([50, 60, 70, 80], 10.0),
        ([5, 8, 108, 208], 100.0),
        ([0, 10, 21, 31, 42], 10.5),
    ],
)
def test_steady_interval_is_that_of_the_second_half(ends: list[int], interval: float) -> None:
    assert steady_interval(ends) == interval


def test_only_layers_with_weights_have_lanes() -> None:
    plan = plan_of(6, 12)
    assert [layer.lanes > 0 for layer in plan.layers] == [
        isinstance(layer.stage, MatrixVectorStage) for layer in plan.layers
    ]
