"""The plan: everything about the hardware that is decided, and nothing that is Amaranth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from codegen.errors import UserError
from codegen.ir import IntegerNetwork, Requantise
from hw.streams import accumulator
from hw.timing import LayerTiming, matrix_vector_timing, pool_timing

from .beats import BeatFormat
from .cycles import Prediction, predict
from .folds import Fold, window
from .parameters import latency
from .requantise import (
    Form,
    RequantiseError,
    loadable_form,
    prove,
    scale_form,
    threshold_form,
)
from .stages import ArgmaxStage, Bounds, MatrixVectorStage, PoolStage, Stage

__all__ = ["LayerPlan", "Plan", "Sizes", "layer_plan", "requantise_forms", "size"]

STEADY_IMAGES = 4
"""Images a layer after whose first half the interval between images is taken to be steady,"""
STEADY_EVENTS = 4_000_000
"""unless that would be more events than this: then fewer images, but ``STEADY_IMAGES`` at least."""


@dataclass(frozen=True)
class Sizes:
    """Sizes that are given rather than chosen; 0 leaves one to be chosen."""

    buffer_rows: int = 0
    fifo_depth: int = 0


NO_SIZES = Sizes()
NONE_GIVEN: Mapping[str, Sizes] = MappingProxyType({})


@dataclass(frozen=True)
class LayerPlan:
    """An engine with weights or a pool: its stage, its fold, its sizes, and its requantisation if it
    has one."""

    stage: MatrixVectorStage | PoolStage
    fold: Fold
    timing: LayerTiming
    form: Form | None

    @property
    def lanes(self) -> int:
        """Multiplying lanes."""
        return self.fold.lanes if isinstance(self.stage, MatrixVectorStage) else 0

    @property
    def format(self) -> BeatFormat:
        """The beats that leave the layer."""
        shape = accumulator(self.stage.result.low, self.stage.result.high)
        return BeatFormat(self.timing.lanes, shape.width, shape.signed)

    @property
    def memory(self) -> int:
        """Bits of memory: weights as the steps read them, line buffer, FIFO."""
        window, bits = self.timing.window, self.stage.source.bits
        weights = 0
        if isinstance(self.stage, MatrixVectorStage):
            steps = window.weight_steps
            weights = steps * self.fold.pe * self.fold.simd * self.stage.weights.bits
        banks = window.run_banks * window.granule * bits
        return (
            weights
            + window.buffer_rows * window.row_words * banks
            + self.timing.fifo_depth * self.format.width
        )


@dataclass(frozen=True)
class Plan:
    """All engines of an accelerator, in order; ``argmax`` is the last one where the network ends in a
    class. ``side``: of pictures, as the network has it."""

    network: str
    macs: int
    layers: tuple[LayerPlan, ...]
    argmax: ArgmaxStage | None
    side: int | None = None

    @property
    def lanes(self) -> int:
        return sum(layer.lanes for layer in self.layers)

    @property
    def bounds(self) -> Bounds:
        """The weights that all engines have room for."""
        return next(one.stage.bounds for one in self.layers if isinstance(one.stage, MatrixVectorStage))

    @property
    def is_reloadable(self) -> bool:
        """Whether it has room for any weights, and numbers of the channels that can be replaced."""
        return self.bounds is Bounds.TYPE

    @property
    def input(self) -> BeatFormat:
        window = self.layers[0].timing.window
        return BeatFormat(window.in_lanes, self.layers[0].stage.source.bits)

    @property
    def output(self) -> BeatFormat:
        if self.argmax is None:
            return self.layers[-1].format
        return BeatFormat(1, max(1, (self.argmax.source.channels - 1).bit_length()))

    @property
    def pace(self) -> int:
        """Cycles of the slowest layer: no plan with these folds has images closer together."""
        return max(max(layer.timing.window.steps, layer.timing.window.write_cycles) for layer in self.layers)

    def predict(self, images: int) -> Prediction:
        """The cycles of every event of a run of ``images`` back to back."""
        results = 0
        if self.argmax is not None:
            results = -(-self.argmax.source.channels // self.layers[-1].timing.lanes)
        return predict([layer.timing for layer in self.layers], images, results=results)

    @property
    def memory(self) -> int:
        """Bits of memory of all layers."""
        return sum(layer.memory for layer in self.layers)

    @cached_property
    def cycles_per_image(self) -> float:
        """The steady interval between images."""
        windows = [layer.timing.window for layer in self.layers]
        events = sum(
            one.rows * one.columns * one.pixel_beats + one.steps // one.window_steps for one in windows
        )
        images = min(STEADY_IMAGES * len(self.layers), STEADY_EVENTS // events)
        return self.predict(max(STEADY_IMAGES, images)).cycles_per_image

    def lane_efficiency(self, cycles_per_image: float) -> float:
        """The share of multiplying lanes that does useful work: MACs / (cycles between images x lanes)."""
        return self.macs / (cycles_per_image * self.lanes)


def requantise_forms(stages: Sequence[Stage]) -> dict[str, Form]:
    """For each stage that requantises its cheaper hardware form, or that which others of its kind can take
    the place of, proven equal to the definition where it is used."""
    forms: dict[str, Form] = {}
    for stage in stages:
        if isinstance(stage, MatrixVectorStage) and stage.requantise is not None:
            low, high = stage.accumulators
            if stage.bounds is Bounds.REAL:
                op, make = stage.requantise, _cheaper
            else:
                op, make = _per_channel(stage.requantise, stage.channels), loadable_form
            try:
                forms[stage.name] = make(op, low, high)
            except RequantiseError as error:
                raise UserError(f"layer '{stage.name}', {error}") from error
            prove(op, forms[stage.name], low, high)
    return forms


def _per_channel(op: Requantise, channels: int) -> Requantise:
    alpha, beta = (np.broadcast_to(numbers, channels) for numbers in (op.alpha, op.beta))
    return replace(op, alpha=alpha, beta=beta)


def _cheaper(op: Requantise, low: NDArray[np.int64], high: NDArray[np.int64]) -> Form:
    """A lane's multiplier costs its partial products and an addition, each as wide as a threshold's
    comparator."""
    scale = scale_form(op, low, high)
    if max(scale.multiplier).bit_length() + 1 <= (1 << op.bits) - 1:
        return scale
    return threshold_form(op, low, high)


def size(
    network: IntegerNetwork,
    stages: Sequence[Stage],
    folds: Mapping[str, Fold],
    forms: Mapping[str, Form],
    sizes: Mapping[str, Sizes] = NONE_GIVEN,
) -> Plan:
    """Chooses what follows from the folds: stream widths, rows of memory, FIFO depths; those in ``sizes``
    are given.

    Line buffers get more rows until no layer waits for another in steady state, or more rows do not help.
    """
    plans: list[Plan] = []
    given = all(sizes.get(name, NO_SIZES).buffer_rows for name in folds)
    for factor in (2, 3, 4):
        plans.append(_sized(network, stages, folds, forms, sizes, factor))
        if given or plans[-1].cycles_per_image <= plans[-1].pace:
            return plans[-1]
    return min(plans, key=lambda plan: plan.cycles_per_image)


def _sized(
    network: IntegerNetwork,
    stages: Sequence[Stage],
    folds: Mapping[str, Fold],
    forms: Mapping[str, Form],
    sizes: Mapping[str, Sizes],
    factor: int,
) -> Plan:
    layers: list[LayerPlan] = []
    argmax = None
    lanes = stages[0].source.channels
    for stage in stages:
        if isinstance(stage, ArgmaxStage):
            argmax = stage
        elif isinstance(stage, MatrixVectorStage | PoolStage):
            given = sizes.get(stage.name, NO_SIZES)
            form = forms.get(stage.name)
            layers.append(layer_plan(stage, folds[stage.name], lanes, form, given, factor))
            lanes = layers[-1].timing.lanes
    return Plan(network.name, network.macs, tuple(layers), argmax, network.side)


def layer_plan(
    stage: MatrixVectorStage | PoolStage,
    fold: Fold,
    lanes: int,
    form: Form | None,
    given: Sizes = NO_SIZES,
    factor: int = 2,
) -> LayerPlan:
    """A layer with a given fold that reads ``lanes`` numbers a beat; its line buffer holds ``factor`` times
    the rows that it needs, unless they are given."""
    least = window(stage, fold, lanes).least_rows
    rows = given.buffer_rows or fold.row_lanes * -(-factor * least // fold.row_lanes)
    sliding = window(stage, fold, lanes, buffer_rows=rows)
    if isinstance(stage, PoolStage):
        return LayerPlan(stage, fold, pool_timing(sliding, given.fifo_depth), None)
    cycles = latency(stage, form)
    timing = matrix_vector_timing(sliding, fold.pe, stage.channels, cycles, given.fifo_depth)
    return LayerPlan(stage, fold, timing, form)
