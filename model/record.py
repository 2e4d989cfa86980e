"""What a finished run says of itself, in run.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from codegen.files import decoded, encoded, read_json, write_atomically
from codegen.places import RUNS
from model.health import LayerHealth
from model.recipe import Recipe, load

__all__ = ["RUN", "Asked", "Changed", "RunRecord", "Score", "asked", "read_record", "write_record"]

RUN = "run.json"


@dataclass(frozen=True)
class Score:
    """How many of the held-out images each step got right; `initial` is the student after stage 1."""

    images: int
    float: int | None
    teacher: int
    initial: int
    student: int
    network: int


@dataclass(frozen=True)
class Changed:
    """Integer weights of the hidden layers: how many are not what stage 1 had made them, of how many."""

    weights: int
    of: int

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.weights / max(1, self.of)


@dataclass(frozen=True)
class RunRecord:
    """`changed`: by stage 2; `stages`: seconds of each; `seconds`: their sum."""

    recipe: Recipe
    seed: int
    correct: Score
    changed: Changed
    layers: tuple[LayerHealth, ...]
    warnings: tuple[str, ...]
    seconds: float
    stages: dict[str, float]
    peak_rss_bytes: int


@dataclass(frozen=True)
class Asked:
    """What a user asks to be trained, with which seed and into which folder unless told otherwise."""

    recipe: Recipe
    seed: int
    folder: Path


def asked(name: str) -> Asked:
    """What a name stands for: a shipped recipe, a recipe's file, or a run, by its folder or its network.

    Raises UserError, as `model.recipe.load` and `read_record` do.
    """
    path = Path(name)
    folder = path if path.is_dir() else path.parent
    if path.exists() and not name.endswith(".toml") and (folder / RUN).is_file():
        record = read_record(folder)
        return Asked(record.recipe, record.seed, folder)
    recipe = load(name)
    return Asked(recipe, 0, RUNS / recipe.name)


def write_record(folder: Path, record: RunRecord) -> None:
    """Write run.json into the folder of a run."""
    write_atomically(folder / RUN, f"{json.dumps(encoded(record), indent=2)}\n".encode())


def read_record(folder: Path) -> RunRecord:
    """What run.json in the folder of a run says. Raises UserError for one that says anything else."""
    path = folder / RUN
    return decoded(RunRecord, read_json(path, "run"), f"'{path}': ")
