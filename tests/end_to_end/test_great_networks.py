"""AlexNet and VGG-Small at full size: folded close to the limit, built from nothing, equal in Verilator."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from codegen.budget import Budget
from codegen.networks import find_network
from codegen.planner import make_plan
from codegen.steps import Steps

from ..commands import command


@pytest.mark.parametrize(
    ("name", "lanes"),
    [
        pytest.param("alexnet_w8a8", 1024, marks=pytest.mark.slow),
        pytest.param("alexnet_w8a8", 2048, marks=pytest.mark.slow),
        ("vgg_small_w1a1", 2273),
    ],
)
def test_lanes_are_used_close_to_the_limit(name: str, lanes: int) -> None:
    plan = make_plan(find_network(name), Budget(lanes=lanes), Steps(Console(quiet=True)))
    assert plan.lanes <= lanes
    assert plan.cycles_per_image == plan.pace
    assert plan.lane_efficiency(plan.pace) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments", "values"),
    [
        ("alexnet_w8a8", ["--images", "3"], 2_199_099),
        ("alexnet_w4a4", ["--images", "2"], 1_466_066),
        ("vgg_small_w1a1", ["--images", "8", "--stall", "0.2"], 4_153_432),
        ("vgg_small_w1a1", ["--images", "3", "--lanes", "2273"], 1_557_537),
    ],
)
def test_every_value_of_every_layer_is_equal(
    name: str, arguments: list[str], values: int, tmp_path: Path
) -> None:
    said = command(tmp_path, "sim", name, *arguments)
    assert said.returncode == 0, said.stdout + said.stderr
    assert f"with {values:,} values in all layers: all equal" in said.stdout
    told = json.loads((tmp_path / "build" / name / "report.json").read_text())
    assert told["mismatches"] == 0 and told["lane_efficiency"] >= 0.95
    for key in ("cycles_per_image", "first_image_latency"):
        assert told[key]["simulated"] == (None if "--stall" in arguments else told[key]["predicted"])
    assert max(step["peak_rss_bytes"] for step in told["steps"]) < 4 << 30
    assert "classes mean nothing" in said.stdout
