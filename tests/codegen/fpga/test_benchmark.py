"""The benchmark on a device: what it measures, what it measures once only, and the table it prints."""

from pathlib import Path

import pytest

from codegen import build as building
from codegen.fpga import benchmark
from codegen.fpga.benchmark import EVERY, PEERS, Row, main, peers
from codegen.fpga.devices import Resources
from codegen.fpga.implement import Implementation
from codegen.fpga.placement import Placement
from codegen.fpga.target import Target
from codegen.ir import save
from codegen.steps import Steps
from tests.networks import digits

PLACED = Placement(100.0, Resources(2_000, 1_500, 7, 3))


@pytest.fixture
def placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Target]:
    """What was placed, by something that takes no time."""
    done: list[Target] = []

    def implemented(target: Target, folder: Path, mhz: float, steps: Steps) -> Implementation:
        done.append(target)
        return Implementation(target, {"conv1": Resources(1_900, 1_500, 7, 3)}, PLACED, PLACED.mhz)

    (tmp_path / "runs" / "digits_w4a4").mkdir(parents=True)
    save(digits(), tmp_path / "runs" / "digits_w4a4" / "network.safetensors")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(building, "Accelerator", lambda plan, taps: plan)
    monkeypatch.setattr(building, "verilog_text", lambda plan, top: f"// {top}")
    monkeypatch.setattr(benchmark, "implement", implemented)
    monkeypatch.setattr(benchmark, "EVERY", (("digits_w4a4", 40), ("digits_w4a4", 76)))
    return done


def cells(printed: str, name: str) -> list[list[str]]:
    rows = [line.strip("│").split("│") for line in printed.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in row] for row in rows if row[0].strip() == name]


def test_every_row_is_placed_once(placed: list[Target], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert [target.plan.lanes for target in placed] == [40, 76]
    assert {target.device.name for target in placed} == {"ecp5-85k"}
    first = capsys.readouterr().out
    slow, fast = cells(first, "digits_w4a4")
    area = ["2,000", "1,500", "7", "3", "100.0"]
    assert slow == ["digits_w4a4", "40", "576", *area, "173,611", "86,806"]
    assert fast == ["digits_w4a4", "76", "288", *area, "347,222", "173,611"]
    assert main(["digits_w4a4"]) == 0
    assert len(placed) == 2 and capsys.readouterr().out == first


def test_another_device_is_measured_anew(placed: list[Target], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0 and main(["--device", "ecp5-45k"]) == 0
    assert [target.device.name for target in placed] == ["ecp5-85k"] * 2 + ["ecp5-45k"] * 2
    assert "digits on ecp5-45k" in capsys.readouterr().out


def test_peers_stand_beside_the_networks_of_their_task(
    placed: list[Target], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    (unrolled,) = cells(printed, "da4ml, 4 bit, a pixel a cycle")
    area = ["13,616", "5,218", "0", "0", "84.0"]
    assert unrolled[1:] == ["-", "64", *area, "1,312,500", "96,394"]
    (cycles_only,) = cells(printed, "NNgen, 8 bit, par 4")
    assert cycles_only[1:] == ["-", "2,249", *["-"] * 7]
    assert "FINN" not in printed, "has no figures for this task"


def test_every_peer_is_shown_beside_something() -> None:
    tasks = {name.rpartition("_")[0] for name, _ in EVERY}
    shown = [row for task in sorted(tasks) for row in peers(task)]
    assert len(shown) == PEERS.read_text().count("[[peer]]")


def test_rates_and_densities() -> None:
    row = Row("x", 250, Resources(500), 50.0)
    assert (row.rate, row.density) == (200_000, 400_000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits_w9a9"], "digits_w9a9"),
        (["--device", "ecp5-86k"], "did you mean 'ecp5-85k'?"),
    ],
)
def test_what_is_unknown_is_refused(
    placed: list[Target], capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err and not placed
