"""What a run tells while it goes and what it leaves behind: progress, metrics.jsonl, curves.png."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


@dataclass(frozen=True)
class Record:
    """One epoch of one stage: accuracy in 0..1 on the images that are only watched, time in seconds."""

    stage: str
    epoch: int
    loss: float
    accuracy: float
    seconds: float
    images_per_second: float


class Journal:
    """Shows a bar per stage on a terminal, else one line when it is done; keeps a record per epoch."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.records: list[Record] = []
        self.warnings: list[str] = []

    @contextmanager
    def stage(self, name: str, epochs: int, done: int, images: int) -> Iterator[StageLog]:
        """A stage of so many epochs of so many images each, of which `done` epochs are behind us."""
        with self._bar(name, epochs * images, done * images) as (bars, task):
            yield StageLog(self, bars, task, name, images)
        if not self.console.is_terminal and epochs > done:
            self.say(f"{name:<24} {epochs} epochs, {_state(self.records[-1])}")

    @contextmanager
    def steps(self, name: str, images: int) -> Iterator[Callable[[int], None]]:
        """Something that looks at so many images once; what it yields is told of every few that are done."""
        with self._bar(name, images, 0) as (bars, task):
            yield lambda seen: bars.advance(task, seen)

    @contextmanager
    def _bar(self, name: str, total: int, done: int) -> Iterator[tuple[Progress, TaskID]]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, disable=not self.console.is_terminal) as bars:
            yield bars, bars.add_task(f"{name:<24}", total=total, completed=done, state="")

    def warn(self, text: str) -> None:
        """Say at once that something is wrong, and keep it for the end."""
        self.warnings.append(text)
        self.say(f"warning: {text}")

    def say(self, text: str) -> None:
        """One line, now."""
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)


class StageLog:
    """What a stage tells of itself."""

    def __init__(self, journal: Journal, bars: Progress, task: TaskID, name: str, images: int) -> None:
        self.journal, self.bars, self.task, self.name, self.images = journal, bars, task, name, images
        self.since = time.monotonic()

    def seen(self, images: int) -> None:
        """So many more images were learnt from."""
        self.bars.advance(self.task, images)

    def epoch(self, epoch: int, loss: float, accuracy: float) -> None:
        """An epoch, counted from 1, is over."""
        now = time.monotonic()
        seconds, self.since = now - self.since, now
        record = Record(self.name, epoch, loss, accuracy, round(seconds, 3), round(self.images / seconds, 1))
        self.journal.records.append(record)
        self.bars.update(self.task, state=_state(record))


def _state(record: Record) -> str:
    return (
        f"loss {record.loss:.4f}, accuracy {record.accuracy:7.2%}, {record.images_per_second:,.0f} images/s"
    )
