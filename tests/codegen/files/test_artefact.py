"""Folders that are made once: whole after a kill at any moment, made again when damaged, never replaced while
another process reads them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from codegen.files import _artefact, made, put
from codegen.files._stamp import STAMP

ROOT = Path(__file__).parents[3]


def maker(text: str, calls: list[str]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        calls.append(text)
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text(text)
        (folder / "notes").write_text("free")

    return make


def read(folder: Path) -> str:
    return (folder / "sub" / "file").read_text()


def test_it_is_made_once_for_a_key(tmp_path: Path) -> None:
    calls: list[str] = []
    for text in ("a", "a", "b", "b", "a"):
        with made(tmp_path / "x", text, maker(text, calls)):
            assert read(tmp_path / "x") == text
    assert calls == ["a", "b", "a"]
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "link", "stamp", "no stamp"])
def test_a_damaged_one_is_made_again(damage: str, tmp_path: Path) -> None:
    calls: list[str] = []
    folder = tmp_path / "x"
    with made(folder, "a", maker("whole", calls)):
        pass
    file = folder / "sub" / "file"
    match damage:
        case "cut":
            file.write_text("who")
        case "changed":
            file.write_text("whale")
        case "gone":
            file.unlink()
        case "link":
            file.unlink()
            file.symlink_to("/dev/zero")
        case "stamp":
            (folder / STAMP).write_text('{"key": "a"')
        case "no stamp":
            (folder / STAMP).unlink()
    with made(folder, "a", maker("whole", calls)):
        assert read(folder) == "whole"
    assert len(calls) == 2


def test_loose_files_may_change_unless_they_become_unusable(tmp_path: Path) -> None:
    calls: list[str] = []
    for text in ("free", "changed", "bad"):
        (tmp_path / "x").is_dir() and (tmp_path / "x" / "notes").write_text(text)
        loose, usable = frozenset({"notes"}), lambda folder: (folder / "notes").read_text() != "bad"
        with made(tmp_path / "x", "a", maker("a", calls), loose=loose, usable=usable):
            pass
    assert len(calls) == 2


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "sub/../../outside", "/dev/zero"])
def test_a_stamp_cannot_name_what_is_outside(name: str, tmp_path: Path) -> None:
    calls: list[str] = []
    (tmp_path / "outside").write_text("")
    with made(tmp_path / "x", "a", maker("a", calls)):
        pass
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # of nothing
    text = f'{{"key": "a", "files": {{"{name}": {{"bytes": 0, "sha256": "{digest}"}}}}}}'
    (tmp_path / "x" / STAMP).write_text(text)
    with made(tmp_path / "x", "a", maker("a", calls)):
        pass
    assert len(calls) == 2


def test_what_fails_leaves_the_earlier_one(tmp_path: Path) -> None:
    def fails(folder: Path) -> None:
        (folder / "half").write_text("")
        raise RuntimeError("halfway")

    with made(tmp_path / "x", "a", maker("a", [])):
        pass
    with pytest.raises(RuntimeError, match="halfway"), made(tmp_path / "x", "b", fails):
        pass
    assert (read(tmp_path / "x"), os.listdir(tmp_path)) == ("a", ["x"])


@pytest.mark.parametrize("exchanges", [True, False], ids=["exchanged", "one after the other"])
def test_put_exchanges_two_folders(exchanges: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not exchanges:
        monkeypatch.setattr(_artefact, "_exchanged", lambda first, second: False)
    for name in ("new", "x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "who").write_text(name)
    put(tmp_path / "new", tmp_path / "x")
    assert [(tmp_path / name / "who").read_text() for name in ("new", "x")] == ["x", "new"]


def test_a_kill_between_two_renames_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system cannot exchange two folders."""
    calls: list[str] = []
    with made(tmp_path / "x", "a", maker("a", calls)):
        pass
    os.rename(tmp_path / "x", tmp_path / ".x.old")
    with made(tmp_path / "x", "a", maker("a", calls)):
        assert read(tmp_path / "x") == "a"
    assert len(calls) == 1


KILLED = """
import os, pathlib, sys, time
from codegen.files import made

def make(folder):
    for k in range(50):
        (folder / f"file{k}").write_text("x" * 10_000)
        print(k, flush=True)
        time.sleep(0.002)

with made(pathlib.Path("x"), sys.argv[1], make):
    assert len(list(pathlib.Path("x").glob("file*"))) == 50
    print("held", flush=True)
    if len(sys.argv) > 2:
        time.sleep(float(sys.argv[2]))
"""


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_killed_at_any_moment_the_next_run_finds_it_whole_and_nothing_is_left(tmp_path: Path) -> None:
    for moment in (0, 7, 23, 49):
        process = start(tmp_path, str(moment))
        assert process.stdout is not None
        while int(process.stdout.readline()) < moment:
            pass
        process.send_signal(signal.SIGKILL)
        process.communicate()
    last = start(tmp_path, "last")
    _, errors = last.communicate()
    assert (last.returncode, errors) == (0, "")
    assert os.listdir(tmp_path) == ["x"]


def test_a_reader_is_waited_for_and_named(tmp_path: Path) -> None:
    with start(tmp_path, "first", "1.5") as reader:
        assert reader.stdout is not None
        while reader.stdout.readline() != "held\n":
            pass
        begin = time.monotonic()
        writer = start(tmp_path, "second")
        _, said = writer.communicate()
    assert reader.returncode == writer.returncode == 0
    assert time.monotonic() - begin >= 1
    assert f"waiting for process {reader.pid}, -c first 1.5: it uses" in said


def test_many_at_once_make_it_once(tmp_path: Path) -> None:
    processes = [start(tmp_path, "same") for _ in range(6)]
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0] * 6
    assert sum(output.startswith("0\n") for output, _ in outputs) == 1
    assert os.listdir(tmp_path) == ["x"]
