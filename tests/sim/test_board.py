"""A whole board in the simulator, and the real host program at the end of its serial line."""

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from codegen.budget import Budget, default_lanes
from codegen.ir import IntegerNetwork, TestSet, save, save_test_set
from codegen.networks import find_network
from codegen.planner import make_plan
from codegen.steps import Steps
from sim.board import board_model, talk
from tests.commands import ROOT, command
from tests.networks import Chain

IMAGES = 10


def network(seed: int) -> IntegerNetwork:
    """Two channels a pixel, so that bytes are gathered, and an odd number of negative and wide scores."""
    chain = Chain(seed, (5, 4, 2), 8).conv("conv", 3, bits=4, padding=(1, 1)).requantise("q", 4)
    return chain.flatten().linear("fc", 7, bits=8).argmax().network()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board")
    for name, seed in (("small", 5), ("other", 6)):
        trained, made = folder / "runs" / name, network(seed)
        trained.mkdir(parents=True)
        save(made, trained / "network.safetensors")
        images = Chain(7, (5, 4, 2), 8).random.integers(0, 256, (IMAGES, 5, 4, 2)).astype(np.uint8)
        save_test_set(TestSet(images, made.run(images).ravel()), trained / "test.safetensors")
    return folder


def test_host_and_board_agree_over_a_noisy_line(folder: Path) -> None:
    done = command(folder, "sim", "small", "--board", "--noise", "0.004")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "images 5 x 4 x 2 of 0..255, 7 classes" in done.stdout
    assert f"{IMAGES} of {IMAGES} right, 100.00 %" in done.stdout
    assert "requests sent again, as the line was noisy or slow" in done.stdout
    assert "scores and classes: all equal to the golden model" in done.stdout
    assert ", as the last image" in done.stdout


def test_a_board_that_carries_another_network_is_found_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host is told of a network of the same shape: nothing but the scores can tell."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    source = find_network("small")
    plan = make_plan(source, Budget(default_lanes(source.network.macs)), Steps(Console(quiet=True)))
    model = board_model(plan, Path("build/small"))
    assert talk(model, plan, Path("build/small"), ["other", "--images", "3"]).status == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--board", "--stall", "0.2"],
         "a board has a serial line and no streams; leave out --stall and --waves"),
        (["--noise", "0.1"], "--noise is on a board's serial line; give --board or --bitstream too"),
        (["--board", "--noise", "2"], "argument --noise: must be a probability from 0 to 0.95, not '2'"),
        (["--netlist", "ecp5-85k", "--board"], "argument --board: not allowed with argument --netlist"),
        (["--flip", "0.1", "--netlist", "ecp5-85k"], "argument --netlist: not allowed with argument --flip"),
    ],
)  # fmt: skip
def test_words_for_what_does_not_go_together(folder: Path, arguments: list[str], message: str) -> None:
    done = command(folder, "sim", "small", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].endswith(f"error: {message}")
