"""What hardware cannot carry is said before the first epoch, and in the last line."""

from dataclasses import replace
from pathlib import Path

import pytest

import model.cli
from model.cli import main
from model.hardware import obstacle
from model.recipe import Architecture, Network, Recipe
from tests.model.test_cli import error, recipe

__all__ = ["recipe"]

LACKING = "node 'a' must be something else"


def test_the_hardware_side_says_what_it_cannot_build(short: Recipe) -> None:
    assert obstacle(short) is None
    residual = Network(Architecture.RESNET18, classes=5, width=1 / 16, size=32)
    said = obstacle(replace(short, network=residual))
    assert said is not None and said.startswith("node 'block1a_add' must read ")


def test_the_user_is_told_first_and_last_and_training_goes_on(
    recipe: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(model.cli, "obstacle", lambda recipe: LACKING)
    assert "hardware must be able to carry 'tiny', and cannot: " + LACKING in error(
        ["train", recipe, "--for-hardware"], capsys
    )
    assert not Path("runs/tiny").exists()
    assert main(["train", recipe]) == 0
    said = capsys.readouterr()
    assert said.err.splitlines()[0] == f"note: no hardware can be built of this network: {LACKING}"
    assert said.out.splitlines()[-1] == f"no hardware can be built of it: {LACKING}"
    assert Path("runs/tiny/network.safetensors").is_file()


def test_nothing_is_said_where_hardware_can(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", recipe, "--for-hardware"]) == 0
    said = capsys.readouterr()
    assert "hardware" not in said.out + said.err
