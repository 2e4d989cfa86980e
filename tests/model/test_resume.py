"""A run that is stopped at any moment and resumed ends in the bytes of one that was not."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from codegen.errors import UserError
from codegen.ir import save
from model.checkpoint import NAME, Checkpoint, Progress
from model.folder import REPRODUCIBLE
from model.journal import Journal
from model.recipe import Recipe, shipped
from model.run import Outcome, Settings, train

from .conftest import quiet

ROOT = Path(__file__).parents[2]


class Stopped(Exception):
    """Stands for whatever ends a process."""


def run(recipe: Recipe, journal: Journal, folder: Path | None, resume: bool = False) -> Outcome:
    outcome = train(recipe, 0, None, journal, Settings(folder, resume), "digest")
    assert outcome is not None
    return outcome


def stopped_after(writes: int, recipe: Recipe, folder: Path) -> None:
    """Train until so many checkpoints were written."""
    write, count = Checkpoint.write, 0

    def stop(self: Checkpoint, *arguments: object) -> None:
        nonlocal count
        write(self, *arguments)  # type: ignore[arg-type]
        count += 1
        if count == writes:
            raise Stopped

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(Checkpoint, "write", stop)
        run(recipe, quiet(), folder)


@pytest.mark.parametrize("writes", [1, 2, 4, 7, 9, 14])
def test_a_resumed_run_ends_in_the_same_bytes(
    writes: int, short: Recipe, outcome: Outcome, tmp_path: Path
) -> None:
    stopped_after(writes, short, tmp_path)
    torch.manual_seed(writes)  # nobody's global state may matter
    journal = quiet()
    resumed = run(short, journal, tmp_path, resume=True)
    save(outcome.network, tmp_path / "first")
    save(resumed.network, tmp_path / "second")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert resumed.score == outcome.score
    stages = [(record.stage, record.epoch) for record in journal.records]
    assert stages == [
        ("float", 1), ("teacher", 1), ("teacher", 2), ("teacher", 3), ("teacher", 4),
        ("student conv1", 1), ("student conv2", 1), ("student fc", 1),
    ]  # fmt: skip


def test_what_is_done_is_not_done_again(short: Recipe, tmp_path: Path) -> None:
    stopped_after(8, short, tmp_path)
    progress, _, _ = Checkpoint(tmp_path).read("digest")
    assert progress.done == ["float", "teacher", "examine teacher"]
    quick = replace(short, teacher=replace(short.teacher, schedule=replace(short.teacher.schedule, batch=2)))
    start = time.monotonic()
    run(quick, quiet(), tmp_path, resume=True)  # a teacher of batches of 2 would take a minute
    assert progress.seconds["teacher"] < 60
    assert time.monotonic() - start < 60


def training(folder: Path, *options: str) -> subprocess.Popen[str]:
    """A training of its own process into ``folder``."""
    text = shipped()["digits_w4a4"]
    for old, new in (
        ("float_epochs = 40", "float_epochs = 2"),
        ("epochs = 80", "epochs = 30"),
        ("= 15", "= 1"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder.parent / "mine.toml").write_text(text)
    command = [sys.executable, "-m", "model", "train", "mine.toml", "--threads", "1", "--out", folder.name]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*command, *options], cwd=folder.parent, env=environment, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training gives that nobody stops."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with training(folder) as process:
        assert process.wait() == 0
    return folder


@pytest.mark.parametrize(
    ("sign", "status"), [(signal.SIGKILL, -9), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_killed_process_is_resumed(sign: signal.Signals, status: int, whole: Path, tmp_path: Path) -> None:
    with training(tmp_path / "killed") as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("float ")  # the teacher is in training now
        time.sleep(0.2)
        process.send_signal(sign)
        assert process.wait(30) == status
    assert (tmp_path / "killed" / NAME).is_file()
    with training(tmp_path / "killed", "--resume") as process:
        assert process.wait() == 0
    for name in REPRODUCIBLE:
        assert (tmp_path / "killed" / name).read_bytes() == (whole / name).read_bytes(), name
    assert not (tmp_path / "killed" / NAME).exists()


def test_there_must_be_a_checkpoint(short: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--resume needs an interrupted run, but there is no '.*'; leave"):
        run(short, quiet(), tmp_path, resume=True)


def test_the_checkpoint_must_be_of_the_same_run(short: Recipe, tmp_path: Path) -> None:
    stopped_after(1, short, tmp_path)
    with pytest.raises(
        UserError, match=r"must be of the same recipe, seed, data, code and torch as this run"
    ):
        train(short, 0, None, quiet(), Settings(tmp_path, resume=True), "another")


@pytest.mark.parametrize("damage", [b"", b"damaged", None])
def test_a_damaged_checkpoint_is_told(damage: bytes | None, short: Recipe, tmp_path: Path) -> None:
    stopped_after(1, short, tmp_path)
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:-1000] if damage is None else damage)
    with pytest.raises(UserError, match=r"must be the checkpoint of a run, but cannot be read: "):
        run(short, quiet(), tmp_path, resume=True)


def test_a_file_of_something_else_is_no_checkpoint(tmp_path: Path) -> None:
    Checkpoint(tmp_path).write(Progress("digest"), torch.nn.Linear(2, 2), None)
    (tmp_path / NAME).write_bytes((tmp_path / NAME).read_bytes().replace(b"epochs", b"epocha"))
    with pytest.raises(UserError, match="cannot be read"):
        Checkpoint(tmp_path).read("digest")
