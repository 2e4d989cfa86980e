"""The netlist of a whole accelerator, in the cells of the device, gives what the golden model gives."""

import json
import re
from pathlib import Path

import pytest

from codegen.files import stamp
from codegen.fpga.devices import DEVICES
from codegen.ir import IntegerNetwork, TestSet, save, save_test_set
from tests.commands import command
from tests.networks import Chain

IMAGES = 20


def network() -> IntegerNetwork:
    """Every kind of engine and of product: 8-bit first and last, packed ones and single bits between, both
    forms of requantisation, a line buffer with padding, a pool, a class."""
    chain = (
        Chain(3, (6, 6, 2), 8).conv("conv1", 4, bits=8, padding=(1, 1)).requantise("q1", 4, per_channel=True)
    )
    chain = chain.conv("conv2", 6, bits=4).requantise("q2", 1, per_channel=True).pool("pool")
    return (
        chain.flatten()
        .linear("fc1", 5, bits=1)
        .requantise("q3", 2)
        .linear("fc2", 4, bits=8)
        .argmax()
        .network()
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("netlist")
    made, chain = network(), Chain(4, (6, 6, 2), 8, samples=IMAGES)
    trained = folder / "runs" / "mixed"
    trained.mkdir(parents=True)
    save(made, trained / "network.safetensors")
    images = chain._values.astype("uint8")
    labels = made.run(images.astype("int64"))
    save_test_set(TestSet(images, labels.astype("int64")), trained / "test.safetensors")
    return folder


@pytest.mark.parametrize("device", ["ecp5-85k", pytest.param("ice40-hx8k", marks=pytest.mark.slow)])
def test_the_netlist_is_equal(folder: Path, device: str) -> None:
    done = command(folder, "sim", "mixed", "--lanes", "24", "--out", "build/mixed", "--netlist", device)
    assert done.returncode == 0, done.stdout + done.stderr
    told = f"{IMAGES * (4 + 1 + 72)} outputs of {IMAGES} images from the netlist for {device}: all equal"
    assert told.replace(f"{IMAGES * 77}", f"{IMAGES * 77:,}") in done.stdout
    netlist = json.loads((folder / "build" / "mixed" / device / "netlist.json").read_text())
    cells = [cell["type"] for cell in netlist["modules"]["intandem"]["cells"].values()]
    if device == "ecp5-85k":
        registered = [
            cell for cell in netlist["modules"]["intandem"]["cells"].values() if cell["type"] == "MULT18X18D"
        ]
        assert registered
        assert all(cell["parameters"]["REG_INPUTA_CLK"] == "CLK0" for cell in registered)
    else:
        assert "SB_RAM40_4K" in cells
        assert "SB_MAC16" not in cells


def test_a_netlist_that_is_up_to_date_is_not_made_again(folder: Path) -> None:
    path = folder / "build" / "mixed" / "ecp5-85k" / "netlist.json"
    before = path.stat().st_mtime_ns
    assert (
        command(
            folder, "sim", "mixed", "--lanes", "24", "--out", "build/mixed", "--netlist", "ecp5-85k"
        ).returncode
        == 0
    )
    assert path.stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_wrong_cell_is_found(folder: Path) -> None:
    """One table of the netlist is turned round: the comparison must say so."""
    place = folder / "build" / "mixed" / "ecp5-85k"
    text = (place / "netlist.json").read_text()
    tables = re.findall(r'"INIT": "([01]{16})"', text)
    assert len(tables) > 100
    broken = text
    for table in set(tables[:40]):
        turned = "".join("10"[int(bit)] for bit in table)
        broken = broken.replace(f'"INIT": "{table}"', f'"INIT": "{turned}"')
    (place / "netlist.json").write_text(broken)
    key = json.loads((place / "stamp.json").read_text())["key"]
    stamp(place, key, ["design.il", "netlist.json"])
    done = command(folder, "sim", "mixed", "--lanes", "24", "--out", "build/mixed", "--netlist", "ecp5-85k")
    assert done.returncode == 1, done.stdout
    (place / "netlist.json").write_text(text)


def test_what_cannot_be_simulated_is_said(folder: Path) -> None:
    done = command(folder, "sim", "mixed", "--netlist", "ecp5-85")
    assert (done.returncode, done.stderr.strip()) == (
        2,
        f"error: device must be one of {', '.join(DEVICES)}, not 'ecp5-85'; did you mean 'ecp5-85k'?",
    )
    done = command(folder, "sim", "mixed", "--netlist", "ecp5-85k", "--stall", "0.5")
    assert (done.returncode, done.stderr.strip()) == (
        2,
        "error: --netlist compares outputs and their cycles only; leave out --stall and --waves",
    )
