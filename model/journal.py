"""What a run tells while it goes and what it leaves behind: progress, metrics.jsonl, curves.png."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

Log = Callable[[int, float, float], None]
"""Epoch (from 1), loss, accuracy in 0..1 of the network as it stands."""


@dataclass(frozen=True)
class Record:
    """One epoch of one stage."""

    stage: str
    epoch: int
    loss: float
    accuracy: float


class Journal:
    """Collects a record per epoch; shows a bar per stage on a terminal, else one line when it is done."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.records: list[Record] = []

    @contextmanager
    def stage(self, name: str, epochs: int) -> Iterator[Log]:
        """A stage of so many epochs; call what it yields after every one."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, disable=not self.console.is_terminal) as bars:
            task = bars.add_task(f"{name:<24}", total=epochs, state="")

            def log(epoch: int, loss: float, accuracy: float) -> None:
                self.records.append(Record(name, epoch, loss, accuracy))
                bars.update(task, completed=epoch, state=_state(self.records[-1]))

            yield log
        if not self.console.is_terminal and epochs:
            self.console.print(f"{name:<24} {epochs} epochs, {_state(self.records[-1])}", highlight=False)


def _state(record: Record) -> str:
    return f"loss {record.loss:.4f}, accuracy {record.accuracy:7.2%}"
