"""Whole accelerators in Amaranth's simulator: every value of every layer, and every cycle."""

from collections.abc import Sequence

import numpy as np
import pytest
from amaranth.back import rtlil

from codegen.accelerator import Accelerator, Taps, array_shape, rom_files
from codegen.build import streams
from codegen.fold import fold
from codegen.folds import Fold
from codegen.ir import Conv, DorefaWeights, IntegerNetwork
from codegen.plan import Plan, requantise_forms, size
from codegen.requantise import Form, prove, scale_form, threshold_form
from codegen.stages import MatrixVectorStage, Stage, fuse
from codegen.weights import rom_words, weight_steps
from sim.amaranth_bench import AmaranthBench
from sim.ports import NO_STALL, Record, Stall, stream_ports
from sim.run import predicted_cycles
from tests.networks import Chain, random_chain, tiny

IMAGES = 3
QUICK = (2, 7, 9, 19, 27, 39)
SLOW = sorted(set(range(46)) - set(QUICK))


def any_forms(stages: Sequence[Stage], random: np.random.Generator) -> dict[str, Form]:
    """For each requantisation either form; thresholds only where there are not too many to simulate."""
    forms: dict[str, Form] = {}
    for stage in stages:
        if isinstance(stage, MatrixVectorStage) and stage.requantise is not None:
            low, high = stage.accumulators
            make = threshold_form if stage.requantise.bits <= 4 and random.random() < 0.5 else scale_form
            forms[stage.name] = make(stage.requantise, low, high)
            prove(stage.requantise, forms[stage.name], low, high)
    return forms


def random_plan(seed: int) -> tuple[IntegerNetwork, Plan]:
    network, random = random_chain(seed), np.random.default_rng([seed, 79])
    stages = fuse(network)
    weighted = sum(isinstance(stage, MatrixVectorStage) for stage in stages)
    budget = int(weighted * 2 ** random.uniform(0, 5))
    return network, size(network, stages, fold(stages, budget), any_forms(stages, random))


def run(plan: Plan, images: np.ndarray, stall: Stall = NO_STALL) -> Record:
    prediction = plan.predict(len(images))
    component = Accelerator(plan, inline=True, taps=Taps.ALL)
    expected = len(prediction.outputs or prediction.layers[-1].beats)
    return AmaranthBench(component).run({"i": plan.input.pack(images)}, {"o": expected}, stall=stall)


def assert_equal_to_trace(network: IntegerNetwork, plan: Plan, images: np.ndarray, record: Record) -> None:
    values = {"input": images} | network.trace(images)
    for stream in streams(plan):
        if stream.node is not None:
            got = stream.format.unpack(record[stream.name].codes, (len(images), *(stream.shape or (1,))))
            expected = values[stream.node].reshape(got.shape)
            assert np.array_equal(got, expected), f"{stream.name} of {network}"


def assert_on_time(plan: Plan, images: int, record: Record) -> None:
    for name, cycles in predicted_cycles(plan, plan.predict(images)).items():
        assert record[name].cycles.tolist() == list(cycles), name


def images_of(network: IntegerNetwork, seed: int) -> np.ndarray:
    random = np.random.default_rng([seed, 80])
    return random.integers(0, network.input.high + 1, (IMAGES, *network.input.shape))


@pytest.mark.parametrize("seed", [*QUICK, *(pytest.param(seed, marks=pytest.mark.slow) for seed in SLOW)])
def test_random_chain_is_equal_and_on_time(seed: int) -> None:
    network, plan = random_plan(seed)
    images = images_of(network, seed)
    record = run(plan, images)
    assert_equal_to_trace(network, plan, images, record)
    assert_on_time(plan, IMAGES, record)
    assert_equal_to_trace(network, plan, images, run(plan, images, Stall(0.1 + seed % 7 / 10, seed)))


def built(network: IntegerNetwork, budget: int) -> Plan:
    stages = fuse(network)
    return size(network, stages, fold(stages, budget), requantise_forms(stages))


def odd_names() -> IntegerNetwork:
    """Names that hardware has for itself."""
    chain = Chain(0, (3, 3, 2), 2).conv("argmax", 2, (2, 2)).requantise("x", 2).conv("clk", 2, (2, 1))
    return chain.requantise("rst", 2).flatten("i").linear("module.reg", 3).argmax("o").network()


def unrequantised() -> IntegerNetwork:
    """Accumulators that are never negative, and so are codes to the next layer."""
    plus = DorefaWeights(np.ones((2, 1, 1, 3), dtype=np.uint8), 1)
    chain = Chain(0, (3, 2, 3), 2).add("conv", Conv(plus, accumulator_bits=5))
    return chain.pool("pool", (2, 2), (1, 1)).flatten().linear("fc", 3).network()


@pytest.mark.parametrize(
    "network",
    [
        odd_names(),
        unrequantised(),
        Chain(1, (5,), 3).linear("a", 6).requantise("q", 1).linear("b", 3).argmax().network(),
        Chain(2, (1, 1, 1), 1).conv("one", 1, (1, 1), bits=1).network(),
        Chain(3, (4, 1, 3), 8).flatten().linear("fc", 1, bits=8).argmax().network(),
    ],
    ids=["odd names", "unrequantised", "vector", "one weight", "one class"],
)
def test_corner_cases_are_equal_and_on_time(network: IntegerNetwork) -> None:
    plan = built(network, 8)
    images = images_of(network, 0)
    record = run(plan, images)
    assert_equal_to_trace(network, plan, images, record)
    assert_on_time(plan, IMAGES, record)


def test_the_lowest_of_equal_classes_wins() -> None:
    codes = np.array([[0, 0], [3, 3], [3, 3], [1, 2]], dtype=np.uint8)
    chain = Chain(0, (2,), 2)
    network = chain.linear("fc", 4, bits=2, codes=codes).argmax().network()
    plan = built(network, 4)
    images = np.array([[3, 1], [0, 0], [1, 2]])
    assert run(plan, images)["o"].codes.ravel().tolist() == [1, 0, 1]


@pytest.mark.parametrize("taps", Taps)
def test_only_taps_make_more_ports(taps: Taps) -> None:
    plan = built(tiny(), 8)
    component = Accelerator(plan, taps=taps)
    rtlil.convert(component, name="top")  # or amaranth warns of a component that nobody used
    found = {port.name: (port.direction.value, port.format) for port in stream_ports(component)}
    assert found == {stream.name: (stream.direction, stream.format) for stream in streams(plan, taps)}
    inside = [f"tap_{layer.stage.name}" for layer in plan.layers]
    tapped = {Taps.NONE: [], Taps.SCORES: inside[-1:], Taps.ALL: inside}
    assert [name for name in found if name.startswith("tap_")] == tapped[taps]
    assert {"i", "o"} <= set(found)


def test_scores_without_a_class_are_the_output_itself() -> None:
    network = Chain(0, (6,), 2).linear("fc", 3, bits=2).network()
    plan = built(network, 8)
    assert [stream.name for stream in streams(plan, Taps.SCORES)] == ["i", "o"]
    assert streams(plan, Taps.SCORES)[-1] == streams(plan)[-1]


@pytest.mark.parametrize("seed", range(0, 30, 3))
def test_widths_follow_from_the_weights_that_are_there(seed: int) -> None:
    _, plan = random_plan(seed)
    for layer in plan.layers:
        stage = layer.stage
        if isinstance(stage, MatrixVectorStage):
            shape = array_shape(layer)
            rows = stage.weights.codes.reshape(stage.channels, -1).astype(int)
            high = stage.source.high
            assert shape.raw_high == high * max(int(row.sum()) for row in rows)
            assert shape.total_high == high * rows.shape[1]
            values = 2 * rows - ((1 << stage.weights.bits) - 1)
            assert shape.low == high * min(int(row[row < 0].sum()) for row in values)
            assert shape.high == high * max(int(row[row > 0].sum()) for row in values)


def test_rom_files_hold_every_step_of_every_pe() -> None:
    chain = Chain(0, (1, 1, 90), 2).conv("conv", 5, (1, 1), bits=8).requantise("q", 2).flatten()
    network = chain.linear("fc.out", 3, bits=3).network()
    folds = {"conv": Fold(4, 1, 90), "fc_out": Fold(2, 1, 3)}
    conv, fc = size(network, fuse(network), folds, requantise_forms(fuse(network))).layers
    assert list(rom_files(conv)) == [f"rom/conv.pe{pe}.lane{lane}.hex" for pe in range(4) for lane in (0, 72)]
    assert list(rom_files(fc)) == [f"rom/fc_out.pe{pe}.lane0.hex" for pe in range(2)]
    rows = weight_steps(conv.stage.weights.codes, conv.timing.window, 4)
    for pe in range(4):
        low, high = (rom_files(conv)[f"rom/conv.pe{pe}.lane{lane}.hex"].split() for lane in (0, 72))
        words = [int(b, 16) << 72 * 8 | int(a, 16) for a, b in zip(low, high, strict=True)]
        assert words == rom_words(rows[:, pe], 8)


def test_a_pool_has_no_rom() -> None:
    assert [len(rom_files(layer)) for layer in built(tiny(), 3).layers] == [1, 0, 1]
