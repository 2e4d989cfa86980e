"""Progress: bars on a terminal, a line a stage elsewhere; curves of what was collected."""

import io

from rich.console import Console

from model.curves import draw
from model.journal import Journal, Record


def told(*, terminal: bool) -> tuple[str, list[Record]]:
    output = io.StringIO()
    journal = Journal(Console(file=output, force_terminal=terminal, width=100))
    with journal.stage("teacher", 2) as log:
        log(1, 0.5, 0.25)
        log(2, 0.125, 1.0)
    return output.getvalue(), journal.records


def test_elsewhere_a_stage_is_one_plain_line() -> None:
    text, records = told(terminal=False)
    assert text == "teacher                  2 epochs, loss 0.1250, accuracy 100.00%\n"
    assert records == [Record("teacher", 1, 0.5, 0.25), Record("teacher", 2, 0.125, 1.0)]


def test_on_a_terminal_it_is_a_bar() -> None:
    text, _ = told(terminal=True)
    assert "\x1b[" in text
    assert "accuracy 100.00%" in text


def test_a_stage_without_epochs_says_nothing() -> None:
    output = io.StringIO()
    with Journal(Console(file=output)).stage("student fc", 0):
        pass
    assert output.getvalue() == ""


def test_curves_are_a_png_whatever_was_collected() -> None:
    assert draw("nothing", []).startswith(b"\x89PNG")
    assert draw("a loss of zero", [Record("teacher", 1, 0.0, 1.0)]).startswith(b"\x89PNG")
