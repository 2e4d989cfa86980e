"""Files that are written whole or not at all."""

import os
from pathlib import Path

import pytest

from codegen.errors import UserError
from codegen.files import write_atomically


def test_it_replaces_what_was_there(tmp_path: Path) -> None:
    for content in (b"first", b"", b"second"):
        write_atomically(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
    assert os.listdir(tmp_path) == ["file"]


def test_what_a_killed_process_left_is_used_up(tmp_path: Path) -> None:
    (tmp_path / ".file.part").write_bytes(b"half a file that is longer than the next")
    write_atomically(tmp_path / "file", b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["file"]


def test_a_failure_leaves_the_earlier_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "file", b"earlier")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"^'.*file' must be a file that can be written, but: No space left"):
        write_atomically(tmp_path / "file", b"later")
    assert (tmp_path / "file").read_bytes() == b"earlier"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(UserError, match="must be a file that can be written, but: Is a directory"):
        write_atomically(tmp_path / "file", b"")
    assert os.listdir(tmp_path) == ["file"]
