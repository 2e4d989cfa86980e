"""The folder of a run: what lies in it, and whether it is the finished one that was asked for."""

from __future__ import annotations

import hashlib
import os
from contextlib import AbstractContextManager, nullcontext
from importlib import metadata
from pathlib import Path

from codegen import pictures, zoo
from codegen.errors import UserError
from codegen.files import digest_of, held, is_stamped, stamp
from codegen.places import NETWORK, TEST_SET
from model.data import fingerprint
from model.networks import image_shape
from model.recipe import Recipe, canonical
from model.record import RUN, RunRecord, write_record

TEACHER, METRICS, CURVES = "teacher.safetensors", "metrics.jsonl", "curves.png"

REPRODUCIBLE = (NETWORK, TEST_SET, TEACHER)
"""What the same digest, threads and machine give byte for byte; the others tell times too."""

# They ask for runs and show them. No run imports them, so that other words in a table make no run an old one.
ASKING = {"model/__main__.py", "model/cli.py", "model/hardware.py", "model/results.py"}


def run_digest(recipe: Recipe, seed: int, data: Path | None, teacher: Path | None) -> str:
    """SHA-256 over what decides a run: recipe, seed, data, a given teacher, the code, torch's version.
    Raises UserError for data or a teacher that cannot be read."""
    own = Path(__file__).parent
    shared = [Path(package.__path__[0]) for package in (pictures, zoo)]
    code = {
        name: path.read_text("utf-8")
        for folder in (own, *shared)
        for path in sorted(folder.rglob("*.py"))
        if (name := path.relative_to(folder.parent).as_posix()) not in ASKING
    }
    side = recipe.data.side or image_shape(recipe.network)[0]
    taught = None if teacher is None else _file_digest(teacher)
    images, torch = fingerprint(recipe.data, side, data), metadata.version("torch")
    return digest_of([canonical(recipe), seed, images, taught, code, torch])


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"'{path}' must be a file that can be read, but: {error.strerror}") from error


def is_finished(folder: Path, digest: str) -> bool:
    """Whether `folder` holds a finished run of this digest, every file as it was written."""
    return is_stamped(folder, digest)


def finish(folder: Path, digest: str, record: RunRecord) -> None:
    """Write run.json and stamp the folder, whose other files are there; the run is then finished."""
    write_record(folder, record)
    stamp(folder, digest, (NETWORK, TEST_SET, TEACHER, METRICS, CURVES, RUN))


def alone(folder: Path) -> AbstractContextManager[None]:
    """Keeps other runs out of `folder`; of several processes of one run the first one does it for all."""
    return held(folder) if os.environ.get("RANK", "0") == "0" else nullcontext()


def check_writable(folder: Path) -> None:
    """Raise UserError now rather than after the training if `folder` cannot be made or written to."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"--out must be a folder that can be written to, not '{folder}'; name another one")


def make(folder: Path) -> None:
    """Make the folder if it is not there; raises UserError if it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"'{folder}' must be a folder that can be made, but: {error.strerror}") from error
