"""A reloadable accelerator has room for any weights of its types, and is the same design for all."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.back import rtlil
from rich.console import Console

from codegen.accelerator import Accelerator, Taps, array_shape, rom_files, rom_widths
from codegen.budget import Budget
from codegen.build import build, streams
from codegen.errors import UserError
from codegen.ir import DorefaWeights, IntegerNetwork, Requantise
from codegen.networks import Source
from codegen.plan import Plan
from codegen.plan_file import PLAN_FILE, plan_text, read_bounds
from codegen.planner import make_plan
from codegen.requantise import ScaleForm, ThresholdForm
from codegen.stages import Bounds, MatrixVectorStage, fuse
from codegen.steps import Steps
from hw.streams import accumulator
from sim.amaranth_bench import AmaranthBench
from tests.hw.cases import seeds
from tests.networks import Chain, random_chain, tiny, with_codes

QUIET = Steps(Console(quiet=True))


def planned(network: IntegerNetwork, bounds: Bounds = Bounds.TYPE, lanes: int = 24) -> Plan:
    return make_plan(Source("any", None, network, None), Budget(lanes=lanes, bounds=bounds), QUIET)


def random_codes(seed: int) -> object:
    random = np.random.default_rng(seed)
    return lambda old: random.integers(0, 1 << old.bits, old.shape)


def design(plan: Plan) -> str:
    return rtlil.convert(Accelerator(plan, taps=Taps.ALL), name="top", emit_src=False)


@pytest.mark.parametrize("seed", seeds(2, 5))
def test_the_design_does_not_depend_on_the_weights(seed: int) -> None:
    network = random_chain(seed)
    other = with_codes(network, random_codes(seed))
    assert design(planned(network)) == design(planned(other))


@pytest.mark.parametrize("seed", seeds(2, 5))
def test_nor_on_the_scales(seed: int) -> None:
    """Other scales, for each channel where they were for the layer: other ROM files, the same design."""
    network = random_chain(seed)
    other = rescaled(network, seed)
    assert design(planned(network)) == design(planned(other))
    differ = [
        rom_files(one) != rom_files(two) or one.form is None
        for one, two in zip(planned(network).layers, planned(other).layers, strict=True)
        if isinstance(one.stage, MatrixVectorStage)
    ]
    assert all(differ)


def rescaled(network: IntegerNetwork, seed: int) -> IntegerNetwork:
    random, nodes = np.random.default_rng(seed), []
    for node in network.nodes:
        if isinstance(node.op, Requantise):
            shape = network.types[node.name].shape[-1:]
            alpha = np.maximum(1, node.op.alpha * random.integers(2, 9, shape) // 4)
            beta = node.op.beta + random.integers(-999, 999, shape)
            node = replace(node, op=replace(node.op, alpha=alpha, beta=beta))
        nodes.append(node)
    return IntegerNetwork(network.name, network.input, tuple(nodes))


def test_without_it_the_design_depends_on_the_weights() -> None:
    network = tiny()
    assert design(planned(network, Bounds.REAL)) != design(
        planned(with_codes(network, lambda old: 0), Bounds.REAL)
    )


@pytest.mark.parametrize(
    "seed", [7, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 9, 19, 27, 39))]
)
@pytest.mark.parametrize("extreme", ["lowest", "highest", "mixed"])
def test_every_value_is_equal_at_the_ends_of_the_types(seed: int, extreme: str) -> None:
    """The largest inputs with the weights furthest from zero, of one sign or of both."""

    def codes(old: DorefaWeights) -> np.ndarray | int:
        top = (1 << old.bits) - 1
        by_channel = np.arange(old.shape[0]).reshape(-1, *[1] * (len(old.shape) - 1)) % 2
        return {"lowest": 0, "highest": top, "mixed": top * by_channel}[extreme]

    network = with_codes(random_chain(seed), codes)
    plan = planned(random_chain(seed))
    filled = planned(network)
    assert design(filled) == design(plan)
    images = np.full((2, *network.input.shape), network.input.high)
    images[1] = np.random.default_rng(seed).integers(0, network.input.high + 1, images[1].shape)
    assert_equal(network, filled, images)


def assert_equal(network: IntegerNetwork, plan: Plan, images: np.ndarray) -> None:
    """Every value of every layer, of two images, in Amaranth's simulator."""
    values = {"input": images} | network.trace(images)
    prediction = plan.predict(2)
    bench = AmaranthBench(Accelerator(plan, inline=True, taps=Taps.ALL))
    outputs = prediction.outputs or prediction.layers[-1].beats
    record = bench.run({"i": plan.input.pack(images)}, {"o": len(outputs)})
    for stream in streams(plan):
        if stream.node is not None:
            got = stream.format.unpack(record[stream.name].codes, (2, *(stream.shape or (1,))))
            assert np.array_equal(got, values[stream.node].reshape(got.shape)), stream.name


@pytest.mark.parametrize("per_channel", [False, True])
def test_loaded_numbers_of_both_forms_give_the_codes(per_channel: bool) -> None:
    """Thresholds of 3 bits, a scale of 8; the numbers of several channels a beat, the last beat not full."""
    chain = Chain(4, (3, 4, 2), 4).conv("a", 5, (1, 1), bits=4).requantise("p", 3, per_channel=per_channel)
    network = chain.conv("b", 3, (2, 2), bits=3).requantise("q", 8, per_channel=per_channel).network()
    plan = planned(network, lanes=60)
    assert [type(layer.form) for layer in plan.layers] == [ThresholdForm, ScaleForm]
    assert [layer.form and layer.form.channels for layer in plan.layers] == [5, 3]
    assert_equal(network, plan, np.random.default_rng(0).integers(0, 16, (2, 3, 4, 2)))


@pytest.mark.parametrize("seed", range(12))
def test_the_ends_are_reached_and_no_wider(seed: int) -> None:
    """The bounds are those of a channel with the lowest and one with the highest weights."""
    for stage in fuse(random_chain(seed), Bounds.TYPE):
        if isinstance(stage, MatrixVectorStage):
            shape, top = stage.weights.codes[:1].shape, (1 << stage.weights.bits) - 1
            low, high = (
                DorefaWeights(np.full(shape, code), stage.weights.bits).channel_range(0, stage.source.high)
                for code in (0, top)
            )
            lows, highs = stage.accumulators
            assert set(lows) == set(low[0]) and set(highs) == set(high[1])
            assert stage.raw_high == top * stage.total_high == top * stage.source.high * np.prod(shape)


def test_groups_pixels_and_the_last_sums_are_bounded_by_the_type() -> None:
    chain = Chain(0, (4, 6, 4), 3).conv("grouped", 6, (3, 3), bits=2, groups=2).requantise("q", 2)
    plan = planned(chain.conv("last", 3, (2, 2), bits=5).network())
    grouped, last = (layer.stage for layer in plan.layers)
    assert isinstance(grouped, MatrixVectorStage) and isinstance(last, MatrixVectorStage)
    assert [int(ends.max()) for ends in grouped.accumulators] == [-3 * 7 * 18, 3 * 7 * 18]
    assert (last.result.low, last.result.high) == (-31 * 3 * 24, 31 * 3 * 24)
    assert array_shape(plan.layers[1]).raw_high == 31 * 3 * 24
    assert plan.layers[1].format.bits == accumulator(last.result.low, last.result.high).width == 13


def test_sums_that_cannot_be_held_are_refused_by_name() -> None:
    network = Chain(0, (2,), 8).linear("fc", 2, bits=8).network()
    wide = IntegerNetwork("wide", type(network.input)((2,), 0, (1 << 53) - 1), (
        network.nodes[0].__class__("fc", _widest(network), ("input",)),
    ))  # fmt: skip
    with pytest.raises(
        UserError, match=r"^layer 'fc': the sums of any weights must fit in 62 bits, and do not$"
    ):
        fuse(wide, Bounds.TYPE)
    fuse(wide)


def _widest(network: IntegerNetwork) -> object:
    from codegen.ir import Linear

    return Linear(DorefaWeights(np.array([[128, 127]] * 2), 8), 62)


def test_a_plan_says_so_and_builds_the_same_again(tmp_path: Path) -> None:
    source = Source("tiny", None, tiny(), None)
    object.__setattr__(source, "digest", "tiny")
    first = build(source, tmp_path / "a", Budget(lanes=8, bounds=Bounds.TYPE), QUIET)
    assert first.bounds is Bounds.TYPE
    assert "\nany-weights = true  # --reloadable: " in (tmp_path / "a" / PLAN_FILE).read_text()
    again = build(source, tmp_path / "b", Budget(plan=tmp_path / "a" / PLAN_FILE), QUIET)
    assert again.bounds is Bounds.TYPE
    for name in ("accelerator.v", PLAN_FILE):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    plain = build(source, tmp_path / "a", Budget(lanes=8), QUIET)  # another fingerprint: not up to date
    assert plain.bounds is Bounds.REAL
    assert (tmp_path / "a" / "accelerator.v").read_bytes() != (tmp_path / "b" / "accelerator.v").read_bytes()


def test_what_a_plan_says_of_weights_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    text = plan_text(planned(tiny()))
    for said, bounds in (("true", Bounds.TYPE), ("false", Bounds.REAL)):
        path.write_text(text.replace("any-weights = true", f"any-weights = {said}"))
        assert read_bounds(path) is bounds
    path.write_text(text.replace("any-weights = true", "any-weights = 1"))
    with pytest.raises(UserError, match=r"plan\.toml': any-weights must be true or false, not 1$"):
        read_bounds(path)


@pytest.mark.parametrize("seed", range(4))
def test_the_widths_of_rom_files_are_those_of_the_files(seed: int) -> None:
    for layer in planned(random_chain(seed)).layers:
        files = rom_files(layer)
        assert files.keys() == rom_widths(layer).keys()
        for name, (width, depth) in rom_widths(layer).items():
            lines = files[name].decode().splitlines()
            assert len(lines) == depth and {len(line) for line in lines} == {-(-width // 4)}
            assert max(int(line, 16) for line in lines) < 1 << width


def test_a_scale_that_is_too_steep_to_be_loaded_is_refused_by_name() -> None:
    network = Chain(0, (4, 4, 2), 8).conv("conv", 3, bits=8).requantise("q", 8).network()
    steep = Requantise(np.array(1 << 20), np.array(0), 8, 0, 8)
    nodes = tuple(replace(node, op=steep) if node.name == "q" else node for node in network.nodes)
    message = (
        r"^layer 'conv', channel 0: to be loaded, codes must rise from lowest to highest over 1/65,536 of "
        r"-1170450\.\.1170450 or more, and this scale is steeper$"
    )
    with pytest.raises(UserError, match=message):
        planned(IntegerNetwork("steep", network.input, nodes))
