"""What place and route reached goes into the report of the build, and stays there until the build changes."""

import json
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from codegen import build as building
from codegen import cli
from codegen.files import encoded
from codegen.fpga import cli as placing
from codegen.fpga.boards import find_board
from codegen.fpga.devices import Resources, find_device
from codegen.fpga.implement import Implementation, section, tables
from codegen.fpga.on_board import OnBoard
from codegen.fpga.placement import Placement
from codegen.fpga.target import Alone, Target
from codegen.host.frames import Frame, encode
from codegen.ir import TestSet, save, save_test_set
from codegen.report import Report, change_report, read_report
from codegen.steps import Steps
from sim.run import forget_simulation
from tests.networks import digits, tiny

from ..report.reports import plan_of, quiet

DEVICE = find_device("ecp5-25k")
LAYERS = {"conv": Resources(40, 30, 2, 1), "fc": Resources(20, 10, 1, 0), "between": Resources(3, 4)}
PLACED = Placement(123.44, Resources(80, 45, 3, 1))


def implemented(
    target: Target, folder: Path, mhz: float, steps: Steps, seeds: Sequence[int] = (1,)
) -> Implementation:
    """Stands for Yosys and nextpnr."""
    with steps.step("place", f"{target.device.name} at {mhz} from {list(seeds)}"):
        return Implementation(target, LAYERS, PLACED, PLACED.mhz)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the user is in, with a trained network and tools that take no time."""
    (tmp_path / "runs" / "one").mkdir(parents=True)
    save(tiny(), tmp_path / "runs" / "one" / "network.safetensors")
    images = np.random.default_rng(3).integers(0, 8, (12, 5, 5, 2), dtype=np.uint8)
    save_test_set(TestSet(images, tiny().run(images)), tmp_path / "runs" / "one" / "test.safetensors")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(building, "Accelerator", lambda plan, taps: plan)
    monkeypatch.setattr(building, "verilog_text", lambda plan, top: f"// {top}")
    monkeypatch.setattr(placing, "implement", implemented)
    return tmp_path


def place(*more: str) -> Report:
    assert cli.main(["bitstream", "one", "--device", "ecp5-25k", "--out", "out", *more]) == 0
    return read_report(Path("out"))


def test_the_section_of_the_report() -> None:
    plan, steps = plan_of(digits(), 80), quiet()
    told = encoded(section(implemented(Alone(plan, DEVICE), Path(), 150, steps), steps))
    assert json.loads(json.dumps(told)) == told
    estimated = told.pop("estimate")
    assert list(estimated["layers"]) == ["conv1", "conv2", "pool", "fc", "argmax"]
    for name in ("luts", "ffs", "memories", "multipliers"):
        assert sum(layer[name] for layer in estimated["layers"].values()) == estimated["total"][name] > 0
    assert told | {"steps": None} == {
        "device": "ecp5-25k",
        "layers": {
            "conv": {"luts": 40, "ffs": 30, "memories": 2, "multipliers": 1},
            "fc": {"luts": 20, "ffs": 10, "memories": 1, "multipliers": 0},
            "between": {"luts": 3, "ffs": 4, "memories": 0, "multipliers": 0},
        },
        "total": {"luts": 63, "ffs": 44, "memories": 3, "multipliers": 1},
        "placed": {"luts": 80, "ffs": 45, "memories": 3, "multipliers": 1},
        "available": {"luts": 24_288, "ffs": 24_288, "memories": 56, "multipliers": 28},
        "clock_mhz": 123.44,
        "seed": 1,
        "images_per_second": 428_611.111,  # 123.44 MHz / 288 cycles
        "link_images_per_second": None,
        "steps": None,
    }
    assert [(row["name"], set(row)) for row in told["steps"]] == [
        ("place", {"name", "seconds", "peak_rss_bytes"})
    ]


def test_a_board_has_the_rate_of_its_link_too() -> None:
    """A request of 64 codes is longer than a reply of ten scores, of 3 bytes each, and a class."""
    target, console = OnBoard(plan_of(digits(), 80), find_board("ulx3s")), Console(file=StringIO(), width=100)
    assert target.design  # Amaranth warns of what is made and never used
    request, reply = encode(Frame(2, 0, bytes(64))), encode(Frame(2, 0, bytes(10 * 3 + 2)))
    assert (target.system.shape.request_bytes, target.system.shape.reply_bytes) == (len(request), len(reply))
    done = implemented(target, Path(), 150, quiet())
    assert section(done, quiet()).link_images_per_second == round(1_000_000 / 10 / len(request), 3)
    console.print(*tables(done))
    assert "│ 1,429 images/s at most over the serial line, whatever the clock" in console.file.getvalue()  # type: ignore[attr-defined]


def test_slow_networks_have_a_rate_for_their_area_too() -> None:
    done = implemented(Alone(plan_of(digits(), 80), DEVICE), Path(), 150, quiet())
    done = replace(done, mhz=0.0005, placement=replace(PLACED, seed=3))
    console = Console(file=StringIO(), width=100)
    console.print(*tables(done))
    rows = [line.split("│") for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    told = {row[1].strip(): row[2].strip() for row in rows if len(row) == 4}
    assert told["clock"] == "123.4 MHz at most, as nextpnr estimates it, from seed 3"
    assert told["speed"] == "288 cycles an image, 2 images/s at that clock"
    assert told["for the area"] == "22 images/s for each 1,000 LUT4"  # 500 Hz / 288 cycles / 80 LUT4


def test_the_command_writes_it_and_says_where(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = place()
    assert told.fpga is not None
    assert told.fpga.placed.luts == 80 and told.fpga.clock_mhz == 123.44
    assert [row.name for row in told.fpga.steps] == ["place"]
    assert "place" not in [row.name for row in told.steps]
    assert "123.4 MHz" in (folder / "out" / "report.html").read_text()
    assert capsys.readouterr().out.splitlines()[-1] == "report: out/report.html"


def test_the_placer_gets_the_seeds_that_were_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place("--mhz", "90", "--seed", "7", "--tries", "3")
    assert "ecp5-25k at 90 from [7, 8, 9]" in capsys.readouterr().err
    place("--seed", "4")
    assert "from [4]" in capsys.readouterr().err


def test_it_is_kept_until_the_build_changes(folder: Path) -> None:
    first = place().fpga
    again = ["build", "one", "--device", "ecp5-25k", "--out", "out"]
    assert cli.main(again) == 0
    told = read_report(Path("out"))
    assert told.fpga == forget_simulation(told, tiny()).fpga == first
    for change in (["--force"], ["--lanes", "4"]):
        assert place() and read_report(Path("out")).fpga is not None
        assert cli.main([*again, *change]) == 0
        assert read_report(Path("out")).fpga is None
        assert "not placed on a device yet" in (folder / "out" / "report.html").read_text()


def test_what_is_reported_while_it_runs_is_not_lost(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place()

    def slow(target: Target, out: Path, mhz: float, steps: Steps, seeds: Sequence[int]) -> Implementation:
        change_report(out, lambda report: replace(report, images=12))
        return implemented(target, out, mhz, steps, seeds)

    monkeypatch.setattr(placing, "implement", slow)
    assert place().images == 12
