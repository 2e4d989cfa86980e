"""Lowering: from the plan to Amaranth components, one engine a layer, joined in a chain."""

from collections.abc import Sequence
from enum import Enum
from itertools import pairwise

from amaranth.hdl import Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.layers import MatrixVectorLayer, PoolLayer, Requantise
from hw.matrix_vector import ArrayShape
from hw.memory import rom_banks
from hw.reduce import Argmax
from hw.requantise import ScaleRequantise, ThresholdRequantise
from hw.streams import tap

from .parameters import loadable, parameters
from .plan import LayerPlan, Plan
from .requantise import ScaleForm
from .stages import Bounds, MatrixVectorStage
from .weights import rom_lanes, rom_text, rom_words, weight_steps

__all__ = ["Accelerator", "Taps", "rom_files", "rom_widths", "tapped"]

Engine = MatrixVectorLayer | PoolLayer | Argmax


class Taps(Enum):
    """Which streams inside an accelerator can be watched."""

    NONE = "none"
    SCORES = "the numbers of which argmax finds the largest"
    ALL = "every layer's"


class Accelerator(wiring.Component):
    """The whole network: images in on ``i``, the last stage's numbers out on ``o``, both elastic.

    ``inline``: weights stand in the design itself, else in the ROM files of ``rom_files``. ``taps``: a
    layer's stream can be watched as ``tap_<layer>``; where all can be, so can the first step of each of
    their windows, as ``start_<layer>``.
    """

    def __init__(self, plan: Plan, *, inline: bool = False, taps: Taps = Taps.NONE):
        self.plan, self.taps = plan, taps
        self.engines = {layer.stage.name: engine(layer, inline=inline) for layer in plan.layers}
        first, last = plan.layers[0].stage.name, plan.layers[-1].stage.name
        ports = {"i": In(self.engines[first].i.signature.flip()), "o": Out(self.engines[last].o.signature)}
        self.argmax = None
        if plan.argmax is not None:
            shape = self.engines[last].payload.elem_shape
            self.argmax = Argmax(shape, plan.layers[-1].timing.lanes, plan.argmax.source.channels)
            ports["o"] = Out(self.argmax.o.signature)
        ports |= {f"tap_{name}": Out(tap(self.engines[name].payload)) for name in tapped(plan, taps)}
        if taps is Taps.ALL:
            ports |= {f"start_{name}": Out(tap(unsigned(1))) for name in self.engines}
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chain: list[Engine] = list(self.engines.values())
        for name, one in self.engines.items():
            m.submodules[name] = one
            if self.taps is Taps.ALL:
                start = getattr(self, f"start_{name}")
                m.d.comb += [start.payload.eq(1), start.valid.eq(one.start), start.ready.eq(1)]
        for name in tapped(self.plan, self.taps):
            stream, layer = getattr(self, f"tap_{name}"), self.engines[name].o
            m.d.comb += [
                stream.payload.eq(layer.payload),
                stream.valid.eq(layer.valid),
                stream.ready.eq(layer.ready),
            ]
        if self.argmax is not None and self.plan.argmax is not None:
            m.submodules[self.plan.argmax.name] = self.argmax
            chain.append(self.argmax)
        wiring.connect(m, wiring.flipped(self.i), chain[0].i)
        for before, after in pairwise(chain):
            wiring.connect(m, before.o, after.i)
        wiring.connect(m, chain[-1].o, wiring.flipped(self.o))
        return m


def tapped(plan: Plan, taps: Taps) -> list[str]:
    """The layers whose streams can be watched."""
    names = [layer.stage.name for layer in plan.layers]
    if taps is Taps.ALL:
        return names
    return names[-1:] if taps is Taps.SCORES and plan.argmax is not None else []


def engine(layer: LayerPlan, *, inline: bool) -> MatrixVectorLayer | PoolLayer:
    """The engine of one layer of the plan."""
    stage, timing = layer.stage, layer.timing
    if not isinstance(stage, MatrixVectorStage):
        return PoolLayer(timing.window, stage.source.bits, timing.fifo_depth)
    array = array_shape(layer)
    requantise = _requantise(layer, inline=inline)
    rows = weight_steps(stage.weights.codes, timing.window, layer.fold.pe)
    parts: list[tuple[int, Sequence[int] | str]] = []
    for pe, start, end in _rom_parts(layer):
        contents = (
            rom_words(rows[:, pe, start:end], array.weight_bits)
            if inline
            else _rom_name(stage.name, pe, start)
        )
        parts.append(((end - start) * array.weight_bits, contents))
    return MatrixVectorLayer(timing.window, array, stage.channels, requantise, parts, timing.fifo_depth)


def rom_files(layer: LayerPlan) -> dict[str, bytes]:
    """The ROM files of a layer by name, relative to the folder of the build; none if it has no weights."""
    stage = layer.stage
    if not isinstance(stage, MatrixVectorStage):
        return {}
    rows = weight_steps(stage.weights.codes, layer.timing.window, layer.fold.pe)
    files = {
        bank.file: rom_text(rows[bank.start : bank.end, pe, start:end], stage.weights.bits)
        for pe, start, end in _rom_parts(layer)
        for bank in rom_banks(len(rows), _rom_name(stage.name, pe, start))
    }
    if layer.form is not None and stage.bounds is Bounds.TYPE:
        numbers = parameters(stage, layer.form, layer.timing.lanes)
        digits = -(-numbers.row.size // 4)
        lines = [f"{word:0{digits}x}\n".encode() for word in numbers.words]
        for start, end, file in rom_banks(len(lines), _parameters_name(stage.name)):
            files[file] = b"".join(lines[start:end])
    return files


def rom_widths(layer: LayerPlan) -> dict[str, tuple[int, int]]:
    """Width in bits and rows of each ROM file of a layer, by its name."""
    stage = layer.stage
    if not isinstance(stage, MatrixVectorStage):
        return {}
    depth, bits = layer.timing.window.weight_steps, stage.weights.bits
    roms = [
        (_rom_name(stage.name, pe, start), (end - start) * bits, depth)
        for pe, start, end in _rom_parts(layer)
    ]
    if layer.form is not None and stage.bounds is Bounds.TYPE:
        numbers = parameters(stage, layer.form, layer.timing.lanes)
        roms.append((_parameters_name(stage.name), numbers.row.size, len(numbers.words)))
    return {
        bank.file: (width, bank.end - bank.start)
        for name, width, rows in roms
        for bank in rom_banks(rows, name)
    }


def _rom_parts(layer: LayerPlan) -> list[tuple[int, int, int]]:
    """(PE, first lane, end lane) of every ROM of a layer."""
    assert isinstance(layer.stage, MatrixVectorStage)
    lanes = rom_lanes(layer.fold.simd, layer.stage.weights.bits)
    return [(pe, start, end) for pe in range(layer.fold.pe) for start, end in lanes]


def _rom_name(stage: str, pe: int, lane: int) -> str:
    return f"rom/{stage}.pe{pe}.lane{lane}.hex"


def _parameters_name(stage: str) -> str:
    return f"rom/{stage}.requantise.hex"


def array_shape(layer: LayerPlan) -> ArrayShape:
    """The widths of a matrix-vector unit, from interval arithmetic over the weights that its stage is bounded
    by."""
    stage = layer.stage
    assert isinstance(stage, MatrixVectorStage)
    return ArrayShape(
        layer.fold.pe,
        layer.fold.simd,
        stage.weights.bits,
        stage.source.bits,
        stage.raw_high,
        stage.total_high,
        *stage.whole_range,
        layer.fold.pixels,
        layer.fold.logic,
    )


def _requantise(layer: LayerPlan, *, inline: bool) -> Requantise | None:
    """What requantises the layer, with the numbers of the channels in a file if they can be loaded."""
    stage, form = layer.stage, layer.form
    if form is None or not isinstance(stage, MatrixVectorStage):
        return None
    room = loadable(stage, form, "" if inline else _parameters_name(stage.name))
    common = *stage.whole_range, layer.timing.lanes, form.bits
    if isinstance(form, ScaleForm):
        return ScaleRequantise(*common, form.multiplier, form.offset, form.shift, room)
    return ThresholdRequantise(*common, form.thresholds, room)
