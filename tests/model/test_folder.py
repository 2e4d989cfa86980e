"""Which code makes a finished run an old one."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from model import folder
from model.folder import ASKING, run_digest
from model.recipe import load

PACKAGE = Path(folder.__file__).parent


def changed_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The files of a copy of the package that give another digest with a line more."""
    package = tmp_path / "model"
    shutil.copytree(PACKAGE, package)
    monkeypatch.setattr(folder, "__file__", str(package / "folder.py"))
    recipe, changed = load("digits_w4a4"), set()
    before = run_digest(recipe, 0, None, None)
    for path in package.rglob("*.py"):
        text = path.read_text()
        path.write_text(text + "\n")
        if run_digest(recipe, 0, None, None) != before:
            changed.add(path.relative_to(tmp_path).as_posix())
        path.write_text(text)
    return changed


def test_code_that_decides_a_run_makes_it_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = {path.relative_to(PACKAGE.parent).as_posix() for path in PACKAGE.rglob("*.py")}
    assert every > ASKING
    assert changed_digests(tmp_path, monkeypatch) == every - ASKING


def test_no_run_imports_what_asks_for_it() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import sys, model.job, model.run, model.curves; print(*sys.modules)"],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = said.stdout.split()
    assert "model.training" in loaded
    assert not {name.removesuffix(".py").replace("/", ".") for name in ASKING} & {*loaded}
