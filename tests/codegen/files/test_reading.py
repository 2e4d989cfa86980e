"""Text files from anybody: one sentence for each that cannot be read, in bounded time."""

import os
from pathlib import Path

import pytest

from codegen.errors import UserError
from codegen.files import read_json, read_toml
from codegen.files._reading import JSON_BYTES, TOML_BYTES, TOML_LINE

HOSTILE_TOML = {
    "digits": "a = " + "9" * 4000,
    "digits over lines": "a = [" + ",\n".join("9" * 4000 for _ in range(60)) + ", x]",
    "nesting": "a = " + "[" * 2000 + "]" * 2000,
    "dots": "a." * 2000 + "a = 1",
    "many dots": "\n".join("a." * 2000 + f"b{k} = 1" for k in range(60)),
    "long line": "#" + "x" * TOML_LINE,
    "large": "#\n" * TOML_BYTES,
    "no value": "a =",
    "null": "a = '\0'",
}


@pytest.mark.parametrize("name", [*HOSTILE_TOML])
def test_toml_is_read_or_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file.toml"
    path.write_text(HOSTILE_TOML[name])
    try:
        read_toml(path, "recipe")
    except UserError as error:
        assert str(error).startswith(f"recipe '{path}' must ")
        assert len(str(error)) < 400 + len(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "must be JSON with less nesting"),
        (b"9" * 5000, "must be JSON, but: Exceeds the limit"),
        (b"{", "must be JSON, but: "),
        (b"\xff", "must be JSON, but: "),
        (b"", "must be JSON, but: "),
    ],
)
def test_json_is_refused_in_a_sentence(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UserError, match=f"^report '.*file' {message}"):
        read_json(tmp_path / "file", "report")


def test_a_file_is_no_larger_than_its_limit(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(JSON_BYTES + 1)
    with pytest.raises(
        UserError, match=r"^report '.*file' must have at most 67,108,864 bytes, and has more$"
    ):
        read_json(tmp_path / "file", "report")


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(UserError, match=r"must be a file, not a folder, a pipe or a device$"):
            read_json(path, "report")
    with pytest.raises(UserError, match="must be a file"):
        read_json(tmp_path, "report")
    with pytest.raises(UserError, match=r"^report must have the name of a file, not 'a.*b': embedded null"):
        read_json(Path("a\0b"), "report")
