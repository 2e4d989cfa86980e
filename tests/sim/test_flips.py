"""Flipped bits in the ROM files of a compiled accelerator: equal to the golden model with the same bits."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from codegen.ir import TestSet, save, save_test_set
from tests.commands import command
from tests.networks import tiny

FLIP = ("sim", "tiny", "--lanes", "8", "--reloadable", "--flip", "0.2", "--seed", "3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flips")
    trained = folder / "runs" / "tiny"
    trained.mkdir(parents=True)
    network = tiny()
    images = np.random.default_rng(2).integers(0, 8, (16, 5, 5, 2)).astype(np.uint8)
    save(network, trained / "network.safetensors")
    save_test_set(TestSet(images, network.run(images)), trained / "test.safetensors")
    return folder


@pytest.mark.slow
def test_flipped_hardware_is_the_flipped_network(folder: Path) -> None:
    plain = command(folder, "sim", "tiny", "--lanes", "8", "--reloadable")
    assert plain.returncode == 0, plain.stdout + plain.stderr
    compiled = {path: path.stat().st_mtime_ns for path in folder.glob("build/verilator/*/bench")}
    assert len(compiled) == 1
    done = command(folder, *FLIP)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"16 images, \d\d flipped bits of 240 ", done.stdout)
    assert "as trained 16 of 16 right, 100.00 %" in done.stdout
    assert re.search(r"^flipped    \d+ of 16 right", done.stdout, re.MULTILINE)
    assert done.stdout.splitlines()[-1] == (
        "16 images, with 1,504 values in all layers: all equal to the golden model of the flipped network"
    )
    # The very model that ran the network as it was trained.
    assert {path: path.stat().st_mtime_ns for path in folder.glob("build/verilator/*/bench")} == compiled
    before, after = (
        folder / "build" / "tiny" / where / "conv.pe0.lane0.hex" for where in ("rom", "loaded/rom")
    )
    assert before.read_text() != after.read_text()


@pytest.mark.slow
def test_one_more_flipped_bit_is_seen(folder: Path, tmp_path: Path) -> None:
    script = (
        "import sys, sim.cli as cli\n"
        "write = cli.write_contents\n"
        "def broken(*given):\n"
        "    plan, loaded = write(*given)\n"
        "    path = loaded / 'rom' / 'conv.pe0.lane0.hex'\n"
        "    first, rest = path.read_text().split('\\n', 1)\n"
        "    path.write_text(f'{int(first, 16) ^ 1:0{len(first)}x}\\n' + rest)\n"
        "    return plan, loaded\n"
        "cli.write_contents = broken\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    (tmp_path / "breaks.py").write_text(script)
    root = Path(__file__).parents[2]
    done = command(folder, "breaks", *FLIP[1:], PYTHONPATH=os.pathsep.join([str(root), str(tmp_path)]))
    assert done.returncode == 1, done.stdout
    assert "not equal  conv: image " in done.stdout
    assert done.stdout.splitlines()[-1] == "16 images, with 1,504 values in all layers: NOT EQUAL"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--flip", "0.1"], "--flip needs --reloadable: sums of flipped weights may leave accumulators that "
         "are only as wide as the network's own weights need"),
        (["--flip", "2", "--reloadable"], "a rate of flips must be from 0 to 1, not 2.0"),
        (["--flip", "0.1", "--reloadable", "--seed", "-1"], "a seed of flips must be 0 or more, not -1"),
    ],
)  # fmt: skip
def test_what_cannot_be_flipped_is_refused(folder: Path, arguments: list[str], message: str) -> None:
    done = command(folder, "sim", "tiny", *arguments)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, f"error: {message}")
