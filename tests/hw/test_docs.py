"""docs/streams.md: its examples run, and each of its laws is quoted by a test."""

import doctest
import re
from pathlib import Path

LAWS = Path(__file__).parents[2] / "docs" / "streams.md"


def test_examples_run() -> None:
    failed, tried = doctest.testfile(str(LAWS), module_relative=False)
    assert tried > 20 and not failed


def test_each_law_is_quoted_by_a_test() -> None:
    laws = set(re.findall(r"^## (.+)$", LAWS.read_text(), re.MULTILINE))
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert set(re.findall(r'^    """Law: (.+)\.(?:""")?$', tests, re.MULTILINE)) == laws
