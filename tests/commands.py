"""Runs our command lines as a user does: another process, some other folder."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def command(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``python -m`` with ``arguments``, started in ``folder``; asserts that no traceback was shown."""
    result = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in result.stderr + result.stdout, result.stderr
    return result
