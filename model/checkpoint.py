"""Where a run stands, in one file after every epoch, so that it can be killed at any moment and go on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
from torch import nn

from codegen.errors import UserError
from codegen.files import Range, write_atomically
from model.folder import make
from model.journal import Record
from model.tensors import Tensors, read_tensors, tensors_file

OptimiserState = dict[int, Tensors]

NAME = "checkpoint.safetensors"
_KEY = "intandem_progress"


@dataclass
class Progress:
    """What is behind a run: stages done, epochs of the next one, images counted as right, times of stages."""

    digest: str
    done: list[str] = field(default_factory=list)
    epochs: Annotated[int, Range(0, 1 << 31)] = 0
    counts: dict[str, Annotated[int, Range(0, 1 << 31)]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Checkpoint:
    """The file of a run's progress in the run's folder, or nothing where that is None.

    Random numbers need no place in it: those of an epoch depend on the seed, the stage and the epoch alone.
    """

    def __init__(self, folder: Path | None) -> None:
        self.path = None if folder is None else folder / NAME

    def write(self, progress: Progress, networks: nn.Module, optimiser: torch.optim.Optimizer | None) -> None:
        """Replace the file by one that says all this."""
        if self.path is None:
            return
        tensors = {f"network.{name}": value for name, value in networks.state_dict().items()}
        for index, state in (optimiser.state_dict()["state"] if optimiser else {}).items():
            tensors |= {f"optimiser.{index}.{name}": value for name, value in state.items()}
        make(self.path.parent)
        write_atomically(self.path, tensors_file(tensors, _KEY, progress))

    def read(self, digest: str) -> tuple[Progress, Tensors, OptimiserState]:
        """The progress, the networks' state_dict, the `state` of the optimiser's.

        Raises UserError for a file that is not of the run `digest`.
        """
        if self.path is None or not self.path.is_file():
            raise UserError(
                f"--resume needs an interrupted run, but there is no '{self.path}'; leave --resume out"
            )
        try:
            tensors, progress = read_tensors(self.path, _KEY, Progress)
            state = _optimiser_state(_named("optimiser", tensors))
        except (UserError, ValueError) as error:
            raise self.refused(error) from error
        if progress.digest != digest:
            raise UserError(
                f"'{self.path}' must be of the same recipe, seed, data, code and torch as this run, but is "
                f"of another; leave --resume out to start again"
            )
        return progress, _named("network", tensors), state

    def refused(self, reason: object) -> UserError:
        """The error that says why the file is not that of the run."""
        return UserError(
            f"'{self.path}' must be the checkpoint of a run, but cannot be read: {reason}; "
            f"leave --resume out to start again"
        )

    def remove(self) -> None:
        """The run is over."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _named(part: str, tensors: Tensors) -> Tensors:
    return {n.removeprefix(f"{part}."): value for n, value in tensors.items() if n.startswith(f"{part}.")}


def _optimiser_state(tensors: Tensors) -> OptimiserState:
    state: OptimiserState = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    return state
