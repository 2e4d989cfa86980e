"""The benchmark tells what it measured, and where the lanes' cycles went adds up."""

import json
from pathlib import Path

import pytest

from codegen.fold import fold
from codegen.plan import requantise_forms, size
from codegen.stages import fuse
from sim.benchmark import losses
from tests.networks import digits, random_chain, tiny

from ..commands import command


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("late", [0, 17])
def test_losses_add_up_to_all_lane_cycles(seed: int, late: int) -> None:
    network = random_chain(seed)
    stages = fuse(network)
    plan = size(network, stages, fold(stages, 24), requantise_forms(stages))
    told = losses(plan, plan.pace + late)
    assert told.useful == network.macs and told.waiting == late * plan.lanes
    assert min(told.rounding, told.balance) >= 0
    assert told.useful + told.rounding + told.balance + told.waiting == (plan.pace + late) * plan.lanes


def test_the_benchmark_of_one_network(tmp_path: Path) -> None:
    from codegen.ir import save

    save(digits(), tmp_path / "network.safetensors")
    said = command(tmp_path, "sim.benchmark", "network.safetensors", "--lanes", "40", "--images", "6")
    assert said.returncode == 0, said.stderr
    (row,) = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert (row["network"], row["lanes"], row["macs"], row["equal"]) == ("digits_small", 40, 21664, True)
    assert row["interval"] == row["predicted"] == 576
    assert row["fc_weight_bits"] == 5120 and set(row["seconds"]) == {"build", "compile", "simulate"}
    assert sum(row["losses"].values()) == 576 * 40
    for words in ("digits_small", "0.940", "at least 0.95 at 433 of 497 budgets", "346-512"):
        assert words in said.stdout, said.stdout


def test_a_value_that_is_not_equal_is_said_with_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import sys, sim.benchmark as benchmark\n"
        "build = benchmark.build\n"
        "def broken(source, out, *rest):\n"
        "    plan = build(source, out, *rest)\n"
        "    path = out / 'rom' / 'fc.pe0.lane0.hex'\n"
        "    path.write_text(path.read_text().replace('0', 'f', 1))\n"
        "    return plan\n"
        "benchmark.build, benchmark._apart = broken, benchmark._measured\n"
        "sys.exit(benchmark.main(sys.argv[1:]))\n"
    )
    from codegen.ir import save

    save(tiny(), tmp_path / "network.safetensors")
    (tmp_path / "breaks.py").write_text(script)
    paths = f"{Path(__file__).parents[2]}:{tmp_path}"
    said = command(
        tmp_path, "breaks", "network.safetensors", "--lanes", "40", "--images", "3", PYTHONPATH=paths
    )
    assert said.returncode == 1
    assert "NOT EQUAL" in said.stdout
