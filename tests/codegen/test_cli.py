"""The command line as a user meets it: exit statuses, exact words, never a traceback."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from codegen import cli
from codegen.ir import TestSet, save, save_test_set
from tests.commands import command
from tests.networks import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the user is in, with one trained recipe and some files that are no networks."""
    folder = tmp_path_factory.mktemp("user")
    trained = folder / "runs" / "tiny_w3a2"
    trained.mkdir(parents=True)
    save(tiny(), trained / "network.safetensors")
    images = np.zeros((4, 5, 5, 2), np.uint8)
    save_test_set(TestSet(images, np.zeros(4, np.int64)), trained / "test.safetensors")
    (folder / "README.md").write_text("# This is no network, but a text\n")
    content = bytearray((trained / "network.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "corrupt.safetensors").write_bytes(content)
    (folder / "cut.safetensors").write_bytes(content[: len(content) // 2])
    (folder / "file").write_text("mine")
    return folder


def build(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command(folder, "codegen", "build", *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["tiny_w3a4"],
            "network must be a file, a run's folder or a trained recipe, not 'tiny_w3a4', of which there is "
            "no runs/tiny_w3a4/network.safetensors; did you mean 'tiny_w3a2'?",
        ),
        (
            ["README.md"],
            "network file 'README.md': it must be a whole safetensors file, but: "
            "Error while deserializing header: header too large",
        ),
        (["tiny_w3a2", "--network", "none"], "--network must be a file that exists, not 'none'"),
        (
            ["tiny_w3a2", "--plan", "file"],
            "plan 'file' must be TOML, but: Expected '=' after a key in a key/value "
            "pair (at end of document)",
        ),
        (
            ["tiny_w3a2", "--device", "ecp5-85"],
            "device must be one of ecp5-25k, ecp5-45k, ecp5-85k, ice40-hx8k, ice40-up5k, not 'ecp5-85'; "
            "did you mean 'ecp5-85k'?",
        ),
        (["tiny_w3a2", "--lanes", "1"], "lanes must be at least 2 for these 2 layers, not 1"),
        (
            ["tiny_w3a2", "--out", "."],
            "the folder of a build must be new, empty or an earlier build, not '.' with other files; "
            "choose another with --out",
        ),
        (
            ["tiny_w3a2", "--out", "file"],
            "the folder of a build must be new, empty or an earlier build, not 'file' with other files; "
            "choose another with --out",
        ),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(arguments: list[str], message: str, folder: Path) -> None:
    result = build(folder, *arguments)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == f"error: {message}"
    assert not (folder / "build").exists() and (folder / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["corrupt.safetensors", "cut.safetensors"])
def test_a_damaged_network_is_refused_by_its_name(name: str, folder: Path) -> None:
    result = build(folder, name)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: network file '{name}': ") and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x" * 300], f"error: cannot read or write '{'x' * 300}': File name too long\n"),
        (["tiny_w3a2", "--out", "file/out"], "': File exists\n"),
    ],
)
def test_errors_of_the_disk_are_one_sentence_too(arguments: list[str], message: str, folder: Path) -> None:
    result = build(folder, *arguments)
    assert result.returncode == 2
    assert result.stderr.splitlines(keepends=True)[-1].endswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["build", "tiny_w3a2", "--lanes", "many"],
            "argument --lanes: must be a whole number from 1 up, not 'many'",
        ),
        (
            ["build", "tiny_w3a2", "--lanes", "0"],
            "argument --lanes: must be a whole number from 1 up, not '0'",
        ),
        (["build", "tiny_w3a2", "--lanes"], "argument --lanes: expected one argument"),
        (["build"], "the following arguments are required: network"),
        (
            ["bitstream", "tiny_w3a2", "--mhz", "fast"],
            "argument --mhz: must be a whole number from 1 up, not 'fast'",
        ),
        (["build", "tiny_w3a2", "--colour"], "unrecognized arguments: --colour"),
        (
            ["make"],
            "argument COMMAND: invalid choice: 'make' (choose from 'build', 'bitstream', 'host', 'faults', "
            "'reload')",
        ),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_arguments_are_checked(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as status:
        cli.main(arguments)
    assert status.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"error: {message}")


def test_help_teaches_by_an_example(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for arguments in (["--help"], ["build", "--help"]):
        with pytest.raises(SystemExit) as status:
            cli.main(arguments)
        assert status.value.code == 0
    told = capsys.readouterr().out
    assert "Example: python -m codegen build digits_w4a4 --lanes 160" in told
    for words in (
        "write Verilog, weight images, test vectors, manifest and report",
        "The same network and the same budget give the same bytes.",
        "a recipe or its file, a folder that training wrote, or a network.safetensors file",
        "multiply-accumulate lanes at most",
        "images a second, reached with the fewest lanes",
        "as much as fits an FPGA, by an estimate: ecp5-25k, ecp5-45k, ecp5-85k",
        "(default build/<network>)",
    ):
        assert words in told


def test_a_check_writes_nothing(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    said = build(folder, "tiny_w3a2", "--check")
    assert (said.returncode, said.stdout) == (0, "")
    assert said.stderr.splitlines()[-1] == "tiny can be built: 4 engines"
    assert sorted(folder.rglob("*")) == before


def test_a_build_says_what_it_made_and_where(folder: Path, tmp_path: Path) -> None:
    first = build(folder, "tiny_w3a2", "--lanes", "8", "--out", str(tmp_path / "out"))
    assert first.returncode == 0 and first.stdout == ""
    assert first.stderr.splitlines()[-2] == (
        f"{tmp_path / 'out'}: 660 MACs on 7 lanes, 108 cycles an image, lane efficiency 0.873 "
        "(predicted; python -m sim proves it)"
    )
    again = build(folder, "tiny_w3a2", "--lanes", "8", "--out", str(tmp_path / "out"))
    assert again.returncode == 0 and "is up to date" in again.stderr.replace("\n", "")
    assert again.stderr.splitlines()[-2:] == first.stderr.splitlines()[-2:]
    assert first.stderr.splitlines()[-1] == f"report: {tmp_path / 'out' / 'report.html'}"
    forced = build(folder, "tiny_w3a2", "--lanes", "8", "--out", str(tmp_path / "out"), "--force")
    assert forced.returncode == 0 and "up to date" not in forced.stderr


def test_ctrl_c_is_one_sentence_and_status_130(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(folder)
    monkeypatch.setattr(cli, "build", interrupted)
    monkeypatch.setattr(cli, "Console", lambda **named: Console(quiet=True))
    assert cli.main(["build", "tiny_w3a2"]) == 130
    assert capsys.readouterr().err == (
        "interrupted; what was finished is kept, run the same command to go on\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["tiny_w3a2"],
            "--board or --device must say what to put the network on: --board "
            "ulx3s|orangecrab-25f|orangecrab-85f|icebreaker for a file to load, --device "
            "ecp5-25k|ecp5-45k|ecp5-85k|ice40-hx8k|ice40-up5k for area and clock alone",
        ),
        (
            ["tiny_w3a2", "--board", "ulx3"],
            "board must be one of ulx3s, orangecrab-25f, orangecrab-85f, icebreaker, not 'ulx3'; did you "
            "mean 'ulx3s'?",
        ),
        (
            ["tiny_w3a2", "--device", "hx8k"],
            "device must be one of ecp5-25k, ecp5-45k, ecp5-85k, ice40-hx8k, ice40-up5k, not 'hx8k'; "
            "did you mean 'ice40-hx8k'?",
        ),
    ],
)
def test_a_network_is_placed_on_a_device(folder: Path, arguments: list[str], message: str) -> None:
    done = command(folder, "codegen", "bitstream", *arguments)
    assert (done.returncode, done.stderr.strip()) == (2, f"error: {message}")
    assert not list(folder.glob("build/tiny_w3a2-*"))
