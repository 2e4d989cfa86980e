"""What a program needs to use the folder of a build: its streams and layers (docs/report.md)."""

import json
from dataclasses import dataclass
from pathlib import Path

from codegen.errors import UserError
from codegen.files import decoded, encoded, read_json
from codegen.program import spelled

from .accelerator import Taps, tapped
from .beats import BeatFormat
from .plan import LayerPlan, Plan

__all__ = ["MANIFEST", "TOP", "Manifest", "Stream", "read_manifest", "streams", "write_manifest"]

MANIFEST = "manifest.json"
TOP = "accelerator"
"""The module of the accelerator in its Verilog."""

_FORMAT = "intandem build"
_VERSION = 2


@dataclass(frozen=True)
class Stream:
    """A stream of the accelerator: its name in the Verilog, its beats, and the node and shape of what it
    carries.

    ``direction``: "input", "output", or "tap" for one that is only watched. ``lanes`` numbers of ``bits``
    bits a beat, ``signed`` or not. A ``start_`` stream carries no values: it marks the first step of every
    window of its layer, and has no ``node``.
    """

    name: str
    direction: str
    lanes: int
    bits: int
    signed: bool
    layer: str
    node: str | None
    shape: tuple[int, ...]

    @property
    def format(self) -> BeatFormat:
        """How its beats are made up."""
        return BeatFormat(self.lanes, self.bits, self.signed)


@dataclass(frozen=True)
class Layer:
    """How a layer is folded and sized."""

    name: str
    pe: int
    row_lanes: int
    run_lanes: int
    pixels: int
    groups: int
    steps: int
    buffer_rows: int
    fifo_depth: int
    requantise: str | None


@dataclass(frozen=True)
class Predicted:
    """Cycles, by the cycle model."""

    first_image_latency: int
    cycles_per_image: float


@dataclass(frozen=True)
class Manifest:
    """``top``: the module to instantiate; ``network``: the name of what it computes; ``classes``: what the
    indices that it gives stand for, if that is known."""

    format: str
    version: int
    network: str
    top: str
    lanes: int
    predicted: Predicted
    layers: tuple[Layer, ...]
    streams: tuple[Stream, ...]
    classes: tuple[str, ...]


def write_manifest(folder: Path, plan: Plan, classes: tuple[str, ...]) -> None:
    """Writes the manifest of a plan into a folder."""
    latency = plan.predict(1).first_image_latency
    manifest = Manifest(
        _FORMAT,
        _VERSION,
        plan.network,
        TOP,
        plan.lanes,
        Predicted(latency, plan.cycles_per_image),
        tuple(_layer(layer) for layer in plan.layers),
        tuple(streams(plan)),
        classes,
    )
    (folder / MANIFEST).write_text(json.dumps(encoded(manifest), indent=2) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a build. Raises ``UserError`` for a folder that holds none."""
    try:
        manifest = decoded(Manifest, read_json(folder / MANIFEST, "manifest"), "manifest: ")
    except UserError as error:
        raise _no_build(folder) from error
    if (manifest.format, manifest.version) != (_FORMAT, _VERSION):
        raise _no_build(folder)
    return manifest


def streams(plan: Plan, taps: Taps = Taps.ALL) -> list[Stream]:
    """Every stream of the accelerator, in the order of the data."""
    first = plan.layers[0].stage.source
    every = [_stream("i", "input", plan.input, "input", "input", (first.rows, first.columns, first.channels))]
    for layer in plan.layers:
        name, result = layer.stage.name, layer.stage.result
        shape = (result.rows, result.columns, result.channels)
        sent: tuple[str, str, tuple[int, ...]] = name, layer.stage.output, shape
        if taps is Taps.ALL:
            every.append(_stream(f"start_{name}", "tap", BeatFormat(1, 1), name, None, ()))
        if name in tapped(plan, taps):
            every.append(_stream(f"tap_{name}", "tap", layer.format, *sent))
    if plan.argmax is not None:
        sent = plan.argmax.name, plan.argmax.output, ()
    return [*every, _stream("o", "output", plan.output, *sent)]


def _stream(
    name: str, direction: str, beats: BeatFormat, layer: str, node: str | None, shape: tuple[int, ...]
) -> Stream:
    return Stream(name, direction, beats.lanes, beats.bits, beats.signed, layer, node, shape)


def _layer(layer: LayerPlan) -> Layer:
    window, fold = layer.timing.window, layer.fold
    form = None if layer.form is None else type(layer.form).__name__
    counts = fold.pe, fold.row_lanes, fold.run_lanes, fold.pixels, window.groups, window.steps
    return Layer(layer.stage.name, *counts, window.buffer_rows, layer.timing.fifo_depth, form)


def _no_build(folder: Path) -> UserError:
    return UserError(f"'{folder}' must hold a build, as {spelled('build')} and bitstream make one")
