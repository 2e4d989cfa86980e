"""A training run as files: done once, and what it left is read when it is asked for again."""

from __future__ import annotations

import json
import os
import resource
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from codegen.files import write_atomically
from codegen.ir import save, save_test_set
from codegen.places import NETWORK, TEST_SET
from model import folder as folders
from model import recipe as recipes
from model.journal import Journal
from model.networks import image_shape
from model.record import RunRecord, read_record

if TYPE_CHECKING:
    from model.run import Outcome, Settings  # torch takes seconds to import, so only training does


def default_threads(recipe: recipes.Recipe) -> int:
    """As many as there are cores, but one where a batch is too little work to share."""
    height, width, _ = image_shape(recipe.network)
    return 1 if height * width < 32 * 32 else os.cpu_count() or 1


def carry_out(
    recipe: recipes.Recipe, seed: int, data: Path | None, journal: Journal, settings: Settings, digest: str
) -> RunRecord | None:
    """Train and write all files into `settings.folder`; gives what run.json says, None in all processes but
    the first.

    `digest` is `folder.run_digest` of the run. Raises UserError and AssertionError as `run.train` does.
    """
    from model.run import train

    assert settings.folder is not None, "a run that leaves files needs a folder"
    folders.check_writable(settings.folder)
    outcome = train(recipe, seed, data, journal, settings, digest)
    if outcome is None:
        return None
    _write(settings.folder, digest, recipe, seed, outcome, journal)
    return read_record(settings.folder)


def _write(
    folder: Path, digest: str, recipe: recipes.Recipe, seed: int, outcome: Outcome, journal: Journal
) -> None:
    """What a finished run leaves; run.json comes last, and then its checkpoint goes."""
    from model.checkpoint import Checkpoint
    from model.curves import draw
    from model.run import save_teacher

    for layer in outcome.health:
        for warning in layer.warnings():
            journal.warn(warning)
    folders.make(folder)
    lines = "".join(json.dumps(asdict(record)) + "\n" for record in journal.records)
    write_atomically(folder / folders.METRICS, lines.encode())
    write_atomically(folder / folders.CURVES, draw(f"{recipe.name}, seed {seed}", journal.records))
    write_atomically(folder / folders.TEACHER, save_teacher(outcome))
    save_test_set(outcome.test_set, folder / TEST_SET)
    save(outcome.network, folder / NETWORK)
    folders.finish(
        folder,
        digest,
        RunRecord(
            recipe,
            seed,
            outcome.score,
            outcome.changed,
            tuple(outcome.health),
            tuple(journal.warnings),
            seconds=round(sum(outcome.seconds.values()), 1),
            stages={stage: round(seconds, 1) for stage, seconds in outcome.seconds.items()},
            peak_rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        ),
    )
    Checkpoint(folder).remove()
