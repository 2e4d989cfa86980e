"""The folder of a run: what lies in it, and whether it is the finished one that was asked for."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from codegen.ir import UserError, load, write_atomically
from model.data import digits_fingerprint
from model.recipe import Recipe, canonical

NETWORK, TEST_SET, METRICS, CURVES, RUN = (
    "network.safetensors",
    "test.safetensors",
    "metrics.jsonl",
    "curves.png",
    "run.json",
)


def run_digest(recipe: Recipe, seed: int, data: Path | None) -> str:
    """SHA-256 over what decides a run's result: recipe, seed, data, this package's code, torch's version."""
    package = Path(__file__).parent
    code = {
        path.relative_to(package).as_posix(): path.read_text("utf-8")
        for path in sorted(package.rglob("*.py"))
    }
    parts = [canonical(recipe), seed, digits_fingerprint(data), code, metadata.version("torch")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def is_finished(folder: Path, digest: str) -> bool:
    """Whether `folder` holds a finished run of this digest, every file as it was written and readable."""
    try:
        run = json.loads((folder / RUN).read_text("utf-8"))
        load(folder / NETWORK)
        return bool(run["digest"] == digest and run["files"] == _hashes(folder, run["files"]))
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return False


def finish(folder: Path, run: Mapping[str, Any]) -> None:
    """Write run.json: `run` and the digests of the other files, which are there; the run is then finished."""
    files = _hashes(folder, (NETWORK, TEST_SET, METRICS, CURVES))
    write_atomically(folder / RUN, (json.dumps({**run, "files": files}, indent=2) + "\n").encode())


def check_writable(folder: Path) -> None:
    """Raise UserError now rather than after the training if `folder` cannot be made or written to."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"--out must be a folder that can be written to, not '{folder}'; name another one")


def _hashes(folder: Path, names: Any) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
