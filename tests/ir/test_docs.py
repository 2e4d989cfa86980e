"""The documents: their examples run, and each law of docs/numerics.md has a test that quotes it."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = [*(ROOT / "tests" / "ir").glob("test_*.py"), ROOT / "tests" / "codegen" / "test_requantise.py"]


@pytest.mark.parametrize("name", ["ir.md", "numerics.md"])
def test_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(ROOT / "docs" / name), module_relative=False)
    assert tried > 10 and not failed


def test_each_law_is_quoted_by_a_test() -> None:
    laws = set(re.findall(r"^## (.+)$", (ROOT / "docs" / "numerics.md").read_text(), re.MULTILINE))
    quoted = {
        law
        for path in TESTS
        for law in re.findall(r'^    """Law: (.+)\."""$', path.read_text(), re.MULTILINE)
    }
    assert quoted == laws


def test_hardware_work_needs_neither_torch_nor_amaranth() -> None:
    program = "import sys, codegen.ir, codegen.requantise; print({'torch', 'amaranth'} & set(sys.modules))"
    output = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert output.stdout == "set()\n"
