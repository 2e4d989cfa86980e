"""A routed design with other contents is the one that would have been made with them: netlist and bytes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from codegen.budget import Budget
from codegen.build import build
from codegen.fpga.boards import BOARDS
from codegen.fpga.contents import fill_config, fill_netlist, rom_contents
from codegen.fpga.devices import DEVICES
from codegen.fpga.implement import implement, netlist_of
from codegen.fpga.on_board import OnBoard
from codegen.fpga.placement import ROUTED
from codegen.fpga.reload import CARRIER, carrier, random_files
from codegen.fpga.target import Alone
from codegen.ir import IntegerNetwork, TestSet, save, save_test_set
from codegen.networks import find_network
from codegen.plan import Plan
from codegen.stages import Bounds
from codegen.steps import Steps
from tests.commands import command
from tests.networks import Chain

DEVICE = DEVICES["ecp5-25k"]
IMAGES = 12
QUIET = Steps(Console(quiet=True))


def network(seed: int, channels: int = 4) -> IntegerNetwork:
    """Both forms of requantisation, for the layer and for each channel, a pool and a class."""
    chain = (
        Chain([seed, 5], (6, 6, 2), 4)
        .conv("conv1", channels, bits=4)
        .requantise("q1", 2, per_channel=seed == 0)
    )
    chain = chain.conv("conv2", 6, bits=3).requantise("q2", 6, per_channel=True).pool("pool")
    return chain.flatten().linear("fc", 5, bits=6).argmax().network("small")


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reload")
    images = np.random.default_rng(1).integers(0, 16, (IMAGES, 6, 6, 2)).astype(np.uint8)
    for name, made in (("a", network(0)), ("b", network(1)), ("wider", network(0, channels=3))):
        (folder / name).mkdir()
        save(made, folder / name / "network.safetensors")
        save_test_set(TestSet(images, made.run(images)), folder / name / "test.safetensors")
    return folder


@pytest.fixture(scope="module")
def routed(user: Path) -> tuple[Plan, Path]:
    source = find_network(str(user / "a"))
    folder = user / "routed"
    plan = build(source, folder, Budget(lanes=12, bounds=Bounds.TYPE), QUIET)
    implement(Alone(plan, DEVICE), folder, 50, QUIET)
    return plan, folder


@pytest.mark.slow
def test_the_netlist_is_the_one_that_synthesis_makes_with_other_contents(routed: tuple[Plan, Path]) -> None:
    """All of the design: cells, connections, parameters. And what nextpnr makes of it, byte by byte."""
    plan, folder = routed
    target, other = Alone(plan, DEVICE), folder / "other"
    (other / "rom").mkdir(parents=True)
    (other / "intandem_rom.v").write_bytes((folder / "intandem_rom.v").read_bytes())
    for name, text in random_files(plan, seed=7).items():
        (other / name).write_text(text)
    made = target.synthesise(other)
    first = carrier(target, folder)
    assert made.module != first.module
    design = folder / CARRIER / DEVICE.name / "design.il"
    before, after = (rom_contents(design, target.top, where) for where in (folder / CARRIER, other))
    fill_netlist(first, after)
    assert made.module == first.module

    target.place(made, other, 50)
    config = (folder / CARRIER / DEVICE.name / ROUTED).read_text()
    assert (other / DEVICE.name / ROUTED).read_text() == fill_config(config, before, after)
    assert (other / DEVICE.name / ROUTED).read_text() != config


@pytest.mark.slow
def test_a_network_is_loaded_into_the_design_that_was_routed_for_another(
    user: Path, routed: tuple[Plan, Path]
) -> None:
    _, folder = routed
    done = command(user, "codegen", "reload", "routed", "b")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "routed/reloaded.bit: small in the design of routed"
    # The whole way for b, from nothing.
    plan = build(find_network(str(user / "b")), user / "whole", Budget(plan=folder / "plan.toml"), QUIET)
    target = Alone(plan, DEVICE)
    implement(target, user / "whole", 50, QUIET)
    whole = user / "whole" / DEVICE.name / "alone.bit"
    assert (folder / "reloaded.bit").read_bytes() == whole.read_bytes()
    assert (folder / DEVICE.name / "alone.bit").read_bytes() != whole.read_bytes()
    # Placed with b's own contents in the netlist, not with random ones.
    target.place(netlist_of(target, user / "whole"), user / "whole", 50)
    direct = target.pack(ROUTED, user / "whole", user / "direct.bit")
    assert direct.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_a_board_is_loaded_with_another_network_of_any_name(user: Path) -> None:
    """And its file is, byte by byte, what place and route with that network's own contents end in."""
    source, folder, board = find_network(str(user / "a")), user / "board", BOARDS["orangecrab-25f"]
    plan = build(source, folder, Budget(lanes=12, bounds=Bounds.TYPE), QUIET)
    done = implement(OnBoard(plan, board), folder, 60, QUIET)
    assert done.file == folder / "small-orangecrab-25f.bit"
    (user / "named").mkdir()
    save(replace(network(1), name="another"), user / "named" / "network.safetensors")
    said = command(user, "codegen", "reload", "board", "named/network.safetensors")
    assert said.returncode == 0, said.stderr
    # The whole way, under the name that the board keeps.
    plan = build(find_network(str(user / "b")), user / "other", Budget(plan=folder / "plan.toml"), QUIET)
    target = OnBoard(plan, board)
    placed, mhz = target.place(netlist_of(target, user / "other"), user / "other", 60)
    direct = target.pack(ROUTED, user / "other", user / "other.bit")
    assert (placed, mhz) == (done.placement, done.mhz) and mhz > 60
    assert (folder / "reloaded.bit").read_bytes() == direct.read_bytes() != done.file.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a", "b"])
def test_the_filled_netlist_gives_what_the_golden_model_gives(
    user: Path, routed: tuple[Plan, Path], name: str
) -> None:
    arguments = (
        "sim",
        name,
        "--plan",
        "routed/plan.toml",
        "--out",
        f"netlist_{name}",
        "--netlist",
        DEVICE.name,
    )
    done = command(user, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all equal, in the predicted cycles" in done.stdout
    cells = json.loads((user / f"netlist_{name}" / DEVICE.name / "netlist.json").read_text())
    memories = {
        tuple(part.split("$")[0] for part in cell_name.split(".")[:2])
        for cell_name, cell in cells["modules"][Alone.top]["cells"].items()
        if cell["type"] == "DP16KD"
    }
    weights = {(layer, "weights") for layer in ("conv1", "conv2", "fc")}
    assert memories == weights | {("conv1", "requantise"), ("conv2", "requantise")}


@pytest.mark.slow
def test_a_network_of_another_shape_is_refused(user: Path, routed: tuple[Plan, Path]) -> None:
    done = command(user, "codegen", "reload", "routed", "wider", "--out", "never.bit")
    assert done.returncode == 2
    assert "pe must be at most 3" in done.stderr or "must have the layers, sizes and widths" in done.stderr
    assert not (user / "never.bit").exists()


def test_a_folder_without_a_routed_design_is_refused(user: Path) -> None:
    done = command(user, "codegen", "reload", "a", "b")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        "error: 'a' must hold a routed design that can be loaded; make one with "
        "python -m codegen bitstream NETWORK --reloadable --board ulx3s",
    )
