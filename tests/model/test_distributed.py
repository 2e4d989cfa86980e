"""Two processes that share each batch learn what one process learns."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from model.recipe import shipped

ROOT = Path(__file__).parents[2]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def train(folder: Path, out: str, *, processes: bool) -> subprocess.CompletedProcess[str]:
    runner = TORCHRUN if processes else []
    command = [sys.executable, *runner, "-m", "model", "train", "mine.toml", "--threads", "1", "--out", out]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def recipe(folder: Path, old: str, new: str) -> None:
    text = shipped()["digits_w4a4"]
    assert old in text
    (folder / "mine.toml").write_text(text.replace(old, new))


def correct(folder: Path) -> dict[str, int]:
    counts: dict[str, int] = json.loads((folder / "run.json").read_text())["correct"]
    return counts


@pytest.mark.slow
def test_two_processes_reach_the_accuracy_of_one(tmp_path: Path) -> None:
    recipe(tmp_path, "epochs = 15", "epochs = 2")
    for out, processes in (("one", False), ("two", True)):
        said = train(tmp_path, out, processes=processes)
        assert said.returncode == 0, said.stderr
        assert said.stdout.count("integer network") == 1  # the first process tells
        assert "Warning" not in said.stderr
    one, two = correct(tmp_path / "one"), correct(tmp_path / "two")
    for name in ("float", "teacher", "student", "network"):
        assert abs(one[name] - two[name]) <= 9, (name, one, two)  # of 360: 2.5 points
    assert two["network"] == two["student"]


@pytest.mark.slow
def test_they_compute_the_same_but_for_rounding(tmp_path: Path) -> None:
    """One epoch without quantisers, whose steps would make much of the last bit of a sum."""
    recipe(tmp_path, "schedule = { epochs = 80,", "schedule = { epochs = 0,")
    text = (tmp_path / "mine.toml").read_text()
    (tmp_path / "mine.toml").write_text(
        text.replace("float_epochs = 40", "float_epochs = 1").replace("= 15", "= 0")
    )
    for out, processes in (("one", False), ("two", True)):
        said = train(tmp_path, out, processes=processes)
        assert said.returncode == 0, said.stderr
    one, two = (load_file(tmp_path / out / "teacher.safetensors") for out in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        rounding = 1e-5 if value.dtype == np.float32 else 0  # the other tensors count batches
        assert np.abs(two[name] - value).max() <= rounding, name
    assert not all(np.array_equal(two[name], one[name]) for name in one)  # they did share the work


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    recipe(tmp_path, "batch = 64", "batch = 65")
    said = train(tmp_path, "two", processes=True)
    assert said.returncode != 0
    assert "batch must be a multiple of 2, the number of processes, not 65" in said.stderr
