"""The steps of a run: what each took, shown while it runs."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

__all__ = ["Step", "Steps"]


@dataclass(frozen=True)
class Step:
    """What was done: wall time, and the most memory that the process or one of its children had at one
    time."""

    name: str
    seconds: float
    peak_rss_bytes: int


@dataclass
class Steps:
    """The steps of a run in order."""

    console: Console
    rows: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, name: str, what: str) -> Iterator[None]:
        """Measures a step and shows that it runs; ``what`` tells the user what happens."""
        _reset_peak()
        children = _children_peak()
        start = time.monotonic()
        with self.console.status(f"{name}: {what}"):
            yield
        seconds = time.monotonic() - start
        peak = max(_own_peak(), _children_peak() if _children_peak() > children else 0)
        self.rows.append(Step(name, round(seconds, 3), peak))
        self.console.print(f"{name:<9}{what:<58}{seconds:6.1f} s", highlight=False)


def _reset_peak() -> None:
    """Linux forgets a process' memory peak when asked to; elsewhere peaks are those of the whole run."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _own_peak() -> int:
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _children_peak() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
