"""Simulations that are killed, or run at the same time: always the right verdict, and nothing is left."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from codegen.ir import TestSet, save, save_test_set

from ..commands import ROOT, command
from ..networks import Chain

IMAGES = 5
OWN = {
    "INTANDEM_SIMULATIONS": "build/verilator"
}  # of each test's folder, so that everything is compiled there


def write(folder: Path, seed: int) -> None:
    """A network of its own name, and images whose labels are all what it makes of them."""
    folder.mkdir(parents=True)
    chain = Chain([seed, 9], (5, 5, 2), 3).conv("conv", 4, bits=3).requantise("scale", 2)
    network = chain.pool("pool", (3, 3), (3, 3)).flatten().linear("fc", 3, bits=2).argmax()
    made = network.network(f"tiny{seed}")
    images = np.random.default_rng(seed).integers(0, 8, (IMAGES, 5, 5, 2), dtype=np.uint8)
    save(made, folder / "network.safetensors")
    save_test_set(TestSet(images, made.run(images)), folder / "test.safetensors")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sim", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | OWN,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def left_over(folder: Path) -> list[str]:
    """What a run that has ended must not leave behind."""
    names = (path.name for path in folder.rglob("*"))
    return [name for name in names if name.startswith(".") and name not in (".", "..")]


def check(said: str) -> None:
    assert "all equal" in said, said
    assert "hardware 100.00 % of 5" in said, said


KILLED_WHILE_LINKING = """
import os, sys
import sim.cli, sim.verilator as verilator

link = verilator._link

def killed(objects, target, further):
    link(objects, target, further)
    target.write_bytes(target.read_bytes()[:1000])
    os.kill(os.getpid(), 9)

verilator._link = killed
sys.exit(sim.cli.main(sys.argv[1:]))
"""


def test_a_kill_while_it_links_breaks_no_design(tmp_path: Path) -> None:
    write(tmp_path / "net", 1)
    (tmp_path / "killed.py").write_text(KILLED_WHILE_LINKING)
    killed = command(tmp_path, "killed", "net", PYTHONPATH=f"{ROOT}:{tmp_path}", **OWN)
    assert killed.returncode == -signal.SIGKILL
    done = command(tmp_path, "sim", "net", **OWN)
    assert done.returncode == 0, done.stderr
    check(done.stdout)
    assert left_over(tmp_path / "build") == []


@pytest.mark.parametrize("count", [1, pytest.param(50, marks=pytest.mark.slow)])
def test_a_kill_at_any_moment_leaves_the_next_run_right(count: int, tmp_path: Path) -> None:
    """Of all its processes, at moments spread over a whole run; each time with a network of its own."""
    write(tmp_path / "net", 0)
    begin = time.monotonic()
    check(command(tmp_path, "sim", "net", **OWN).stdout)
    whole = time.monotonic() - begin
    draw = random.Random(22)
    for number in range(count):
        moment = draw.random() * whole
        write(tmp_path / f"net{number + 1}", number + 1)
        with start(tmp_path, f"net{number + 1}") as process:
            time.sleep(moment)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        done = command(tmp_path, "sim", f"net{number + 1}", **OWN)
        assert done.returncode == 0, f"killed after {moment:.2f} s: {done.stderr}"
        check(done.stdout)
    assert left_over(tmp_path / "build") == []


@pytest.mark.parametrize("count", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_simulations_at_once_are_all_right(count: int, tmp_path: Path) -> None:
    """Two of them in one folder, with other images and stalls."""
    for seed in range(1, count):
        write(tmp_path / f"net{seed}", seed)
    processes = [start(tmp_path, f"net{seed}") for seed in range(1, count)]
    processes.append(start(tmp_path, "net1", "--stall", "0.3"))
    said = [process.communicate() for process in processes]
    for process, (out, errors) in zip(processes, said, strict=True):
        assert process.returncode == 0, errors
        check(out)
    assert left_over(tmp_path / "build") == []
