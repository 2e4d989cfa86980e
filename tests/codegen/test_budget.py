"""Budgets: what is asked for is kept, and what is impossible is refused with the nearest that is not."""

import argparse
import re
from pathlib import Path

import pytest
from rich.console import Console

from codegen import planner
from codegen.arguments import add_build_arguments, build_budget
from codegen.budget import Budget, default_lanes
from codegen.errors import UserError
from codegen.fpga.devices import DEVICES
from codegen.fpga.fit import is_enough
from codegen.ir import save
from codegen.networks import Source, find_network
from codegen.plan import Plan
from codegen.planner import make_plan
from codegen.steps import Steps
from tests.networks import digits


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    path = tmp_path_factory.mktemp("digits") / "network.safetensors"
    save(digits(), path)
    return find_network(str(path))


def planned(source: Source, *arguments: str) -> Plan:
    parser = argparse.ArgumentParser()
    add_build_arguments(parser)
    budget = build_budget(parser.parse_args(["digits", *arguments]), source.network.macs)
    return make_plan(source, budget, Steps(Console(quiet=True)))


def test_a_rate_is_reached_with_the_fewest_lanes(source: Source) -> None:
    by_lanes = {lanes: planned(source, "--lanes", str(lanes)) for lanes in (76, 75)}
    plan = planned(source, "--fps", "347222", "--clock", "100")  # 288 cycles an image
    assert plan.cycles_per_image == 288 and plan.lanes == by_lanes[76].lanes == 76
    assert by_lanes[75].cycles_per_image > 288  # one lane fewer does not do
    assert planned(source, "--fps", "1", "--clock", "1000").lanes == 3


def test_a_rate_and_lanes_together(source: Source) -> None:
    assert planned(source, "--fps", "347222", "--clock", "100", "--lanes", "500").lanes == 76
    message = (
        "cycles an image must be at least 324 with 70 lanes, not 288; "
        "the nearest that is possible is 324 cycles (308,642 images/s)"
    )
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        planned(source, "--fps", "347222", "--clock", "100", "--lanes", "70")


def test_a_rate_that_no_folding_reaches(source: Source) -> None:
    message = (
        "cycles an image must be at least 64, the pixels of the largest map, not 50; "
        "the nearest that is possible is 64 cycles (1.5625e+06 images/s)"
    )
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        planned(source, "--fps", "2000000", "--clock", "100")
    assert planned(source, "--fps", "1562500", "--clock", "100").cycles_per_image == 64


def test_a_device_is_all_that_fits_it(source: Source) -> None:
    fast, small = planned(source, "--device", "ecp5-85k"), planned(source, "--device", "ecp5-25k")
    for plan, name in ((fast, "ecp5-85k"), (small, "ecp5-25k")):
        assert is_enough(DEVICES[name], plan)
    assert not is_enough(DEVICES["ecp5-25k"], fast) and fast.cycles_per_image < small.cycles_per_image
    assert planned(source, "--device", "ecp5-85k", "--lanes", "10").lanes <= 10
    with pytest.raises(
        UserError, match=r"^device must be one of ecp5-25k, .*, not 'ecp5'; did you mean .ecp5-"
    ):
        planned(source, "--device", "ecp5")
    with pytest.raises(UserError, match=r"^lanes must be at least 3 for these 3 layers, not 2$"):
        planned(source, "--device", "ecp5-85k", "--lanes", "2")


def test_a_rate_that_a_device_does_not_reach(source: Source) -> None:
    plan = planned(source, "--device", "ecp5-25k", "--fps", "50000", "--clock", "50")
    assert 500 < plan.cycles_per_image <= 1000 and is_enough(DEVICES["ecp5-25k"], plan)
    message = (
        "cycles an image must be at least 96 on ecp5-25k, not 80; "
        "the nearest that is possible is 96 cycles (520,833 images/s)"
    )
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        planned(source, "--device", "ecp5-25k", "--fps", "625000", "--clock", "50")


def test_a_plan_that_turns_out_larger_than_planned_is_followed_by_a_slower_one(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = planned(source, "--device", "ecp5-25k")
    monkeypatch.setattr(planner, "is_enough", lambda device, plan: plan != first)
    second = planned(source, "--device", "ecp5-25k")
    assert second.pace > first.pace
    monkeypatch.setattr(planner, "is_enough", lambda device, plan: False)
    with pytest.raises(UserError, match=r"^'digits_small' must fit what is usable of ecp5-25k, and "):
        planned(source, "--device", "ecp5-25k")


def test_weights_that_do_not_fit_are_refused_with_the_width_that_would(source: Source) -> None:
    sizes = {"conv1": 72, "conv2": 16 * 72, "fc": 640}
    count = sum(sizes.values())
    bits = sum(stage.weights.codes.size * stage.weights.bits for stage in _weighted(source))
    for memory, advice in (
        (2 * count, "weights of 2 bits would fit"),
        (count - 1, f"even {count:,} one-bit weights would not fit"),
    ):
        told = f"the {bits:,} bits of weights of 'digits_small', not only {memory:,}; {advice}"
        message = f"memory on chip must hold {told}"
        with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
            planned(source, "--memory", str(memory))


def _weighted(source: Source) -> list:
    from codegen.stages import MatrixVectorStage, fuse

    return [stage for stage in fuse(source.network) if isinstance(stage, MatrixVectorStage)]


def test_line_buffers_and_fifos_count_too(source: Source) -> None:
    plan = planned(source)
    assert planned(source, "--memory", str(plan.memory)).memory == plan.memory
    message = (
        f"must hold the {plan.memory:,} bits of weights, line buffers and FIFOs of 'digits_small', not only"
    )
    with pytest.raises(UserError, match=re.escape(message)):
        planned(source, "--memory", str(plan.memory - 1))


def test_the_default_grows_with_the_network_and_ends_where_simulation_slows() -> None:
    assert [default_lanes(macs) for macs in (1, 21_664, 400_000, 714_188_480)] == [16, 80, 1024, 1024]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fps", "30"], "--fps and --clock must be given together"),
        (["--clock", "30"], "--fps and --clock must be given together"),
        (["--plan", "x.toml", "--lanes", "3"], "--plan says how every layer is folded; leave out --lanes"),
        (["--plan", "x.toml", "--device", "ecp5-85k", "--lanes", "3"], "leave out --lanes and --device"),
    ],
)
def test_contradictions_are_refused(arguments: list[str], message: str, source: Source) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        planned(source, *arguments)


@pytest.mark.parametrize(
    ("text", "bits"), [("128k", 128_000), ("3M", 3_000_000), ("7", 7), ("4m", 4_000_000)]
)
def test_memory_has_units(text: str, bits: int) -> None:
    parser = argparse.ArgumentParser()
    add_build_arguments(parser)
    assert build_budget(parser.parse_args(["x", "--memory", text]), 1).memory == bits


@pytest.mark.parametrize("text", ["", "k", "1.5M", "-3", "0", "²"])
def test_memory_must_be_a_number(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_build_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["x", "--memory", text])
    assert "must be a whole number from 1 up, not '" in capsys.readouterr().err


def test_a_plan_is_taken_as_it_is(source: Source, tmp_path: Path) -> None:
    from codegen.plan_file import plan_text

    (tmp_path / "p.toml").write_text(plan_text(planned(source, "--lanes", "33")))
    assert planned(source, "--plan", str(tmp_path / "p.toml")).lanes == planned(source, "--lanes", "33").lanes


def test_a_budget_must_bound_something() -> None:
    with pytest.raises(ValueError, match=r"^a budget must have lanes, an interval, a plan or a device$"):
        Budget()
