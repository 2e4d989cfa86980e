"""docs/boards.md says what the line carries."""

from enum import IntEnum
from pathlib import Path

import pytest

from hw.link.protocol import Fault, Reply, Request

TEXT = (Path(__file__).parents[3] / "docs" / "boards.md").read_text()


@pytest.mark.parametrize("member", [*Request, *Reply, *Fault], ids=lambda member: member.name)
def test_every_kind_and_fault_stands_in_the_tables(member: IntEnum) -> None:
    assert f"| `{member:02x}` | {member.name.lower()}" in TEXT


def test_the_tables_hold_no_others() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| `") and line[5:7] == "` "]
    assert len(rows) == len(Request) + len(Reply) + len(Fault)
