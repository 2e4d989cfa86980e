"""Progress: bars on a terminal, a line a stage elsewhere; curves of what was collected."""

import io
import re

import pytest
from rich.console import Console

from model.curves import draw
from model.journal import Journal, Record


def told(*, terminal: bool) -> tuple[str, list[Record]]:
    output = io.StringIO()
    journal = Journal(Console(file=output, force_terminal=terminal, width=120))
    with journal.stage("teacher", 2, done=0, images=10) as log:
        log.seen(10)
        log.epoch(1, 0.5, 0.25)
        log.epoch(2, 0.125, 1.0)
    return output.getvalue(), journal.records


def test_elsewhere_a_stage_is_one_plain_line() -> None:
    text, records = told(terminal=False)
    assert re.fullmatch(
        r"teacher                  2 epochs, loss 0.1250, accuracy 100.00%, [\d,]+ images/s\n", text
    )
    assert [(one.stage, one.epoch, one.loss, one.accuracy) for one in records] == [
        ("teacher", 1, 0.5, 0.25), ("teacher", 2, 0.125, 1.0),
    ]  # fmt: skip


def test_on_a_terminal_it_is_a_bar() -> None:
    text, _ = told(terminal=True)
    assert "\x1b[" in text
    assert "accuracy 100.00%" in text
    assert "images/s" in text


@pytest.mark.parametrize("epochs", [0, 3])
def test_a_stage_that_is_done_says_nothing(epochs: int) -> None:
    output = io.StringIO()
    with Journal(Console(file=output)).stage("student fc", epochs, done=epochs, images=1):
        pass
    assert output.getvalue() == ""


def test_a_warning_is_said_at_once_and_kept() -> None:
    output = io.StringIO()
    journal = Journal(Console(file=output))
    journal.warn("layer conv1 is dead")
    assert output.getvalue() == "warning: layer conv1 is dead\n"
    assert journal.warnings == ["layer conv1 is dead"]


def test_curves_are_a_png_whatever_was_collected() -> None:
    assert draw("nothing", []).startswith(b"\x89PNG")
    assert draw("a loss of zero", [Record("teacher", 1, 0.0, 1.0, 0.1, 9.0)]).startswith(b"\x89PNG")
