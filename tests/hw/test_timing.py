"""What a layer's cycles follow from: latency, reservation and the depth of its FIFO."""

from dataclasses import replace

import pytest

from codegen.cycles import predict, steady_interval
from hw.fifo import OutputFifo, Reservation
from hw.geometry import WindowGeometry
from hw.line_buffer import LineBuffer
from hw.matrix_vector import MatrixVectorUnit, Recentre, Serialiser
from hw.reduce import MaxReduce
from hw.timing import LayerTiming, matrix_vector_timing, pool_timing

from .cases import conv_case, pool_case

WINDOW = WindowGeometry(6, 6, 4, 4, (3, 3), repeats=3, row_lanes=1, run_lanes=6)


def starts(timing: LayerTiming) -> list[int]:
    return predict([timing], 4).layers[0].starts


@pytest.mark.parametrize("seed", range(150))
def test_depth_left_open_never_holds_the_layer_up(seed: int) -> None:
    """A FIFO without end would not be faster."""
    case = conv_case(seed, fifo_depth=0) if seed % 3 else pool_case(seed, fifo_depth=0)
    timing = case.layer.timing
    assert starts(timing) == starts(replace(timing, fifo_depth=1 << 20)), case


@pytest.mark.parametrize("seed", range(60))
def test_image_takes_the_steps_of_its_windows_or_of_its_writing(seed: int) -> None:
    """Law: The slower of reading and writing sets the pace."""
    timing = conv_case(seed, fifo_depth=0, buffer_rows=0).layer.timing
    window = timing.window
    roomy = replace(window, buffer_rows=window.buffer_rows + window.row_lanes)
    ends = predict([replace(timing, window=roomy)], 8).image_ends
    assert steady_interval(ends) == max(window.steps, window.write_cycles), window


def test_latency_is_the_sum_of_the_stages() -> None:
    """Law: Latencies add up."""
    parts = (LineBuffer.latency, MatrixVectorUnit.latency_of(6), Serialiser.latency, Recentre.latency)
    assert parts == (5, 6, 1, 2)
    assert matrix_vector_timing(WINDOW, 4, 10, requantise_latency=3).latency == sum(parts) + 3
    pool = replace(WINDOW, repeats=1, run_lanes=4)
    assert pool_timing(pool).latency == LineBuffer.latency + MaxReduce.latency_of(1) == 7
    assert OutputFifo.latency == 2


def test_reservation_of_a_layer_whose_channels_leave_a_tail() -> None:
    timing = matrix_vector_timing(WINDOW, 4, 10, requantise_latency=0)
    assert (timing.lanes, timing.reservation) == (1, Reservation(3, 4, 2))
    fast = replace(WINDOW, row_lanes=3, buffer_rows=0)
    assert matrix_vector_timing(fast, 4, 10, 0).reservation == Reservation(3, 2, 1)
    assert pool_timing(replace(WINDOW, groups=2, repeats=1, run_lanes=2)).lanes == 2


@pytest.mark.parametrize(("pe", "channels"), [(4, 13), (4, 8), (5, 10), (2, 10)])
def test_words_for_repeats_that_do_not_fit(pe: int, channels: int) -> None:
    with pytest.raises(ValueError) as caught:
        matrix_vector_timing(WINDOW, pe, channels, 0)
    assert str(caught.value) == (
        f"repeats must be the {channels} channels of a group over {pe} PEs, rounded up, not 3"
    )


def test_words_for_lanes_that_cut_a_group() -> None:
    window = WindowGeometry(4, 4, 2, 2, (1, 1), groups=2, repeats=2)
    with pytest.raises(ValueError) as caught:
        matrix_vector_timing(window, 2, 6, 0)
    assert str(caught.value) == "lanes must divide the 3 channels of a group, not 2"
