"""Reports as files: read, written and changed, by one process at a time."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from codegen.errors import UserError
from codegen.files import decoded, encoded, held, read_json, write_atomically

from .html import html
from .schema import Report

__all__ = ["PAGE", "REPORTS", "change_report", "has_report", "read_report", "write_report"]

PAGE = "report.html"
REPORTS = frozenset({"report.json", PAGE})
"""The files of a build that change after it was made."""


def write_report(folder: Path, report: Report) -> None:
    """Writes ``report.json`` and the page made of it, each atomically."""
    page = html(report)
    text = re.sub(r"\[\n[\s\d,]+\]", _on_a_line, json.dumps(encoded(report), indent=2))
    write_atomically(folder / "report.json", f"{text}\n".encode())
    write_atomically(folder / PAGE, page.encode())


def _on_a_line(numbers: re.Match[str]) -> str:
    """A list of whole numbers, which JSON would write one a line."""
    return "[" + " ".join(numbers[0][1:-1].split()) + "]"


def read_report(folder: Path) -> Report:
    """The report in a folder. Raises ``UserError`` if there is none, or it is not one that was written."""
    path = folder / "report.json"
    return decoded(Report, read_json(path, "report"), f"report '{path}': ")


def has_report(folder: Path) -> bool:
    """Whether a folder has a report that can be read, and its page."""
    try:
        read_report(folder)
    except UserError:
        return False
    return (folder / PAGE).is_file()


def change_report(folder: Path, change: Callable[[Report], Report]) -> Report:
    """Writes what ``change`` makes of the report in a folder, and returns it; no other process changes it
    meanwhile."""
    with held(folder / "report.json"):
        changed = change(read_report(folder))
        write_report(folder, changed)
    return changed
