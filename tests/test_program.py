"""The console script, in folders that hold anything, from a wheel in an environment of its own."""

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from codegen.ir import TestSet, save, save_test_set
from codegen.program import COMMANDS
from tests.networks import tiny

ROOT = Path(__file__).parents[1]
TRAP = "raise SystemExit('the user\\'s own file was run')\n"
TRAPS = ("model.py", "codegen.py", "hw.py", "numpy.py", "rich.py", "json.py", "dataclasses.py")


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """A user's folder, with files and folders of their own that are called like ours and like libraries."""
    folder = tmp_path / "user's own"
    folder.mkdir()
    for name in TRAPS:
        (folder / name).write_text(TRAP)
    for name in ("sim", "tests", "safetensors"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(TRAP)
        (folder / name / "__main__.py").write_text(TRAP)
    trained = folder / "runs" / "tiny"
    trained.mkdir(parents=True)
    images = np.random.default_rng(3).integers(0, 8, (6, 5, 5, 2), dtype=np.uint8)
    save(tiny(), trained / "network.safetensors")
    save_test_set(TestSet(images, tiny().run(images)), trained / "test.safetensors")
    return folder


def run(program: list[str | Path], folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*program, *words], cwd=folder, env=environment | {"COLUMNS": "200"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr and "own file was run" not in done.stdout + done.stderr, done.stderr
    return done


SCRIPT: list[str | Path] = [Path(sys.executable).with_name("intandem")]


def check_commands(program: list[str | Path], user: Path) -> None:
    """What every installation must do, but for what takes long."""
    assert re.fullmatch(r"intandem \d+\.\d+\.\d+\n", run(program, user, "--version").stdout)
    told = run(program, user, "--help").stdout
    assert all(re.search(rf"^  {name} +\w", told, re.MULTILINE) for name in COMMANDS)
    for name in COMMANDS:
        done = run(program, user, name, "--help")
        assert done.returncode == 0 and done.stdout.startswith("usage: intandem"), done.stderr
    assert "digits_w4a4" in run(program, user, "list").stdout
    assert "tiny: 6 of 6 right" in run(program, user, "evaluate", "tiny").stdout
    done = run(program, user, "build", "tiny", "--lanes", "8")
    assert done.returncode == 0 and (user / "build/tiny/accelerator.v").is_file(), done.stderr
    assert "(predicted; intandem sim proves it)" in done.stderr


def test_the_script_runs_ours_whatever_the_folder_holds(user: Path) -> None:
    check_commands(SCRIPT, user)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "usage: intandem COMMAND"),
        (("tarin",), "error: command must be one of train, evaluate, "),
        (("build", "tinny"), "did you mean 'tiny'?"),
        (("host", "tiny", "--port", "none"), "error: --port must be a serial port that can be opened"),
        (("reload", "nowhere", "tiny"), "error: "),
        (("bitstream", "tiny"), "error: --board or --device must say what to put the network on"),
    ],
)
def test_mistakes_are_told_in_the_same_way_as_ever(words: tuple[str, ...], said: str, user: Path) -> None:
    done = run(SCRIPT, user, *words)
    assert done.returncode == 2
    assert said in (done.stdout + done.stderr)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> list[str | Path]:
    """The script of a wheel in a fresh environment, which has the libraries of this one and not its clone."""
    place = tmp_path_factory.mktemp("wheel")
    for name in ("model", "codegen", "hw", "sim"):
        shutil.copytree(ROOT / name, place / "clone" / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / "clone" / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "-q"]
    subprocess.run([*pip, "wheel", *options, "-w", place, place / "clone"], check=True)
    (wheel,) = place.glob("intandem-*.whl")
    venv.create(place / "venv", with_pip=False)
    python = place / "venv/bin/python"
    subprocess.run([*pip, "--python", python, "install", "--no-deps", "--no-index", "-q", wheel], check=True)
    own = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    shared = Path(np.__file__).parents[1]
    (Path(own) / "shared.pth").write_text(f"{shared}\n")  # its own .pth files, as the clone's, are not read
    return [place / "venv/bin/intandem"]


@pytest.mark.slow
def test_a_wheel_does_everything_in_any_folder(installed: list[str | Path], user: Path) -> None:
    check_commands(installed, user)
    where = "import codegen.program as p; print(p.__file__)"
    python = installed[0].with_name("python")  # type: ignore[union-attr]
    said = run([python, "-P", "-c", where], user).stdout
    assert said.startswith(str(installed[0].parents[1])), "the clone was found instead"  # type: ignore[union-attr]
    done = run(installed, user, "sim", "tiny", "--lanes", "8")
    assert done.returncode == 0 and "all equal" in done.stdout, done.stdout + done.stderr
    done = run(installed, user, "faults", "tiny", "--trials", "2")
    assert done.returncode == 0, done.stderr
    text = (ROOT / "model/recipes/digits_w4a4.toml").read_text()
    (user / "mine.toml").write_text(re.sub(r"epochs = \d+", "epochs = 1", text))
    done = run(installed, user, "build", "mine.toml")
    assert done.returncode == 0 and (user / "runs/mine/network.safetensors").is_file(), done.stderr
    done = run(installed, user, "sim", "tiny", "--board", "--images", "2")
    assert done.returncode == 0 and "all equal to the golden model" in done.stdout, done.stdout + done.stderr
