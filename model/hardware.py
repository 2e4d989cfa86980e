"""Whether hardware can be built of what a recipe trains, asked before the training.

The hardware side decides that, in a process of its own: training knows none of it.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from codegen.ir import save
from codegen.places import NETWORK
from codegen.program import child
from model.networks import topology
from model.recipe import Recipe

__all__ = ["obstacle"]

_REFUSED = 2


def obstacle(recipe: Recipe) -> str | None:
    """Why hardware cannot be built of the recipe's network, naming the layer; None if it can be, or if the
    packages that build it are not installed. Raises UserError for a recipe that makes no network."""
    from model.export import export
    from model.student import Student

    student = Student(topology(recipe.network, recipe.bits), recipe.student)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / NETWORK
        save(export(student, recipe.name, None), path)
        command = child("build", str(path), "--check")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != _REFUSED:
        return None
    return done.stderr.strip().removeprefix("error: ")
