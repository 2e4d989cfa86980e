"""The plan: forms that are proven, streams that fit together, buffers that keep the pace."""

import re
from itertools import pairwise

import pytest

from codegen import plan as module
from codegen.beats import BeatFormat
from codegen.build import streams
from codegen.errors import UserError
from codegen.fold import fold
from codegen.ir import IntegerNetwork
from codegen.plan import Plan, requantise_forms, size
from codegen.requantise import Form, ScaleForm, ThresholdForm
from codegen.stages import MatrixVectorStage, fuse
from hw.requantise import ScaleRequantise, ThresholdRequantise
from tests.networks import Chain, digits, random_chain

BUDGETS = (4, 9, 20, 60)


def plan_of(network: IntegerNetwork, budget: int) -> Plan:
    stages = fuse(network)
    return size(network, stages, fold(stages, budget), requantise_forms(stages))


@pytest.mark.parametrize("seed", range(40))
def test_the_predicted_interval_is_the_pace_of_the_slowest_layer(seed: int) -> None:
    for budget in BUDGETS:
        plan = plan_of(random_chain(seed), budget)
        assert plan.cycles_per_image == plan.pace, f"seed {seed}, budget {budget}"


def test_buffers_are_as_small_as_keeps_the_pace() -> None:
    plans = [plan_of(random_chain(seed), 12) for seed in range(12)]
    windows = [layer.timing.window for plan in plans for layer in plan.layers]
    factors = {max(2, -(-window.buffer_rows // window.least_rows)) for window in windows}
    assert factors == {2, 3}  # a map of one row needs a third: one to read, one to write, one on its way


def test_of_plans_that_never_keep_the_pace_the_fastest_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = {6: 300.0, 9: 290.0, 12: 295.0}  # cycles an image by rows in the first buffer
    speed = property(lambda plan: speeds[plan.layers[0].timing.window.buffer_rows])
    monkeypatch.setattr(Plan, "cycles_per_image", speed)
    plan = plan_of(digits(), 80)
    assert plan.pace == 288 and plan.layers[0].timing.window.buffer_rows == 9


def test_streams_of_a_digits_accelerator() -> None:
    plan = plan_of(digits(), 80)
    assert plan.input == BeatFormat(1, 4)
    assert [layer.format for layer in plan.layers] == [
        BeatFormat(1, 4), BeatFormat(1, 4), BeatFormat(1, 4), BeatFormat(1, 18, signed=True),
    ]  # fmt: skip
    assert plan.output == BeatFormat(1, 4)
    assert [(stream.name, stream.direction, stream.node, stream.shape) for stream in streams(plan)] == [
        ("i", "input", "input", (8, 8, 1)),
        ("start_conv1", "tap", None, ()),
        ("tap_conv1", "tap", "conv1_q", (6, 6, 8)),
        ("start_conv2", "tap", None, ()),
        ("tap_conv2", "tap", "conv2_q", (4, 4, 16)),
        ("start_pool", "tap", None, ()),
        ("tap_pool", "tap", "flatten", (2, 2, 16)),
        ("start_fc", "tap", None, ()),
        ("tap_fc", "tap", "fc", (1, 1, 10)),
        ("o", "output", "argmax", ()),
    ]


def test_without_a_class_the_last_layer_is_the_output() -> None:
    plan = plan_of(Chain(0, (3, 4, 2), 3).conv("conv", 5, (2, 2), bits=2).network(), 4)
    assert plan.argmax is None and plan.output == plan.layers[-1].format
    last = streams(plan)[-1]
    assert (last.name, last.direction, last.node, last.shape) == ("o", "output", "conv", (2, 3, 5))


@pytest.mark.parametrize(("classes", "bits"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (10, 4)])
def test_a_class_has_as_many_bits_as_there_are_classes(classes: int, bits: int) -> None:
    assert plan_of(Chain(0, (4,), 2).linear("fc", classes).argmax().network(), 8).output == BeatFormat(
        1, bits
    )


@pytest.mark.parametrize("seed", range(20))
def test_each_layer_reads_the_beats_that_the_one_before_sends(seed: int) -> None:
    plan = plan_of(random_chain(seed), 20)
    for before, layer in pairwise(plan.layers):
        assert layer.timing.window.in_lanes == before.format.lanes
        assert layer.stage.source.bits == before.format.bits and not before.format.signed
    assert plan.input.lanes == plan.layers[0].stage.source.channels


def test_the_form_of_fewer_gates_is_taken_and_both_occur() -> None:
    chain = Chain(0, (6, 6, 3), 4)
    for bits in (1, 2, 4, 8):
        chain.conv(f"conv{bits}", 3, (1, 1), bits=4).requantise(f"q{bits}", bits)
    stages = fuse(chain.network())
    forms = requantise_forms(stages)
    assert [type(form) for form in forms.values()] == [ThresholdForm, ThresholdForm, ScaleForm, ScaleForm]
    assert [form.bits for form in forms.values()] == [1, 2, 4, 8]
    for stage in stages:
        assert isinstance(stage, MatrixVectorStage)
        low, high = stage.accumulators
        others = [make(stage.requantise, low, high) for make in (module.scale_form, module.threshold_form)]
        assert rows_of_logic(forms[stage.name]) == min(map(rows_of_logic, others))


def rows_of_logic(form: Form) -> int:
    """As wide as an accumulator each: partial products and an addition, or comparators."""
    if isinstance(form, ThresholdForm):
        return len(form.thresholds[0])
    return max(form.multiplier).bit_length() + 1


@pytest.mark.parametrize("bits", [1, 8])
def test_a_form_that_is_not_equal_is_never_built(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = fuse(Chain(0, (4, 4, 2), 4).conv("conv", 3).requantise("q", bits).network())
    right_scale, right_thresholds = module.scale_form, module.threshold_form

    def wrong_scale(*given: object) -> ScaleForm:
        form = right_scale(*given)
        return ScaleForm(
            form.multiplier, tuple(offset + (1 << form.shift) for offset in form.offset), form.shift, bits
        )

    def wrong_thresholds(*given: object) -> ThresholdForm:
        form = right_thresholds(*given)
        return ThresholdForm(tuple(tuple(t + 1 for t in row) for row in form.thresholds), bits)

    monkeypatch.setattr(module, "scale_form", wrong_scale)
    monkeypatch.setattr(module, "threshold_form", wrong_thresholds)
    with pytest.raises(
        UserError, match=re.compile(r"^channel 0: the form must give \d+ for acc -?\d+, as the def")
    ):
        requantise_forms(stages)


def test_latency_of_a_layer_follows_its_form() -> None:
    low, high = (Chain(0, (4, 4, 2), 4).conv("conv", 3).requantise("q", bits).network() for bits in (1, 8))
    (threshold,), (scale,) = plan_of(low, 6).layers, plan_of(high, 6).layers
    assert threshold.fold == scale.fold
    stage, form = scale.stage, scale.form
    assert isinstance(stage, MatrixVectorStage) and isinstance(form, ScaleForm)
    difference = (
        ScaleRequantise.latency_of(*stage.whole_range, max(form.multiplier)) - ThresholdRequantise.latency
    )
    assert scale.timing.latency - threshold.timing.latency == difference >= 2


def test_lane_efficiency_is_the_share_of_lanes_that_do_useful_work() -> None:
    plan = plan_of(digits(), 80)
    assert (plan.macs, plan.lanes) == (21664, 76)
    assert plan.lane_efficiency(288) == 21664 / (288 * 76)
    assert [layer.lanes for layer in plan.layers] == [9, 64, 0, 3]


def test_streams_are_as_wide_as_their_layers_need() -> None:
    network = Chain(0, (3, 3, 4), 8).conv("conv", 4, (2, 2), bits=8).requantise("q", 3).network()
    plan = plan_of(network, 64)
    (layer,) = plan.layers
    assert plan.input == BeatFormat(4, 8)  # all channels of a pixel
    assert (layer.fold.pe, layer.timing.window.window_steps) == (4, 2)
    assert plan.output == BeatFormat(2, 3)  # four sums in two cycles
