"""The first pass: from operations to stages, each of which becomes one engine.

A convolution or linear operation takes the requantisation behind it along; flattening is only another way
to look at the same stream, rows by columns by channels, and disappears.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property

import numpy as np

from codegen.errors import UserError
from codegen.ir import (
    Argmax,
    Conv,
    DorefaWeights,
    Flatten,
    IntegerNetwork,
    Linear,
    MaxPool,
    Node,
    Requantise,
    TensorType,
)

__all__ = ["ArgmaxStage", "Bounds", "FeatureMap", "MatrixVectorStage", "PoolStage", "Stage", "fuse"]

MOST_PIXELS, MOST_NUMBERS, MOST_CHANNELS = 1 << 21, 1 << 26, 1 << 16
"""Of a map that moves between engines: what the cycle model looks at one by one. 1024 x 1024 x 64 is within
them all."""

Pair = tuple[int, int]
Range = np.ndarray[tuple[int], np.dtype[np.int64]]


class Bounds(Enum):
    """Whose sums an engine has room for."""

    REAL = "the network's own weights"
    TYPE = "any weights of as many bits"


@dataclass(frozen=True)
class FeatureMap:
    """How a stage sees what it reads: a map of codes 0 .. 2^bits - 1, or of accumulators in low .. high."""

    rows: int
    columns: int
    channels: int
    low: int
    high: int

    @property
    def bits(self) -> int:
        return TensorType((1,), self.low, self.high).bits


@dataclass(frozen=True)
class Stage:
    """An engine to be: named after the operation it begins with; ``output`` is the node whose values it
    sends."""

    name: str
    output: str
    source: FeatureMap
    result: FeatureMap


@dataclass(frozen=True)
class MatrixVectorStage(Stage):
    """A convolution, or a linear layer as a convolution whose kernel covers the map. ``weights``: (out, ky,
    kx, in / groups). ``bounds``: whose sums it must hold."""

    weights: DorefaWeights
    stride: Pair
    padding: Pair
    groups: int
    requantise: Requantise | None
    bounds: Bounds = Bounds.REAL

    @property
    def kernel(self) -> Pair:
        return self.weights.codes.shape[1], self.weights.codes.shape[2]

    @property
    def channels(self) -> int:
        """Output channels."""
        return int(self.weights.codes.shape[0])

    @property
    def macs(self) -> int:
        return self.result.rows * self.result.columns * self.weights.codes.size

    @property
    def total_high(self) -> int:
        """The largest sum of the codes that an output channel reads, sum(x)."""
        return self.weights.codes[0].size * self.source.high

    @cached_property
    def raw_high(self) -> int:
        """The largest sum of weight codes times codes, sum(r x), over the output channels."""
        if self.bounds is Bounds.TYPE:
            return ((1 << self.weights.bits) - 1) * self.total_high
        codes = self.weights.codes.reshape(self.channels, -1).astype(np.int64)
        return int(codes.sum(axis=1).max()) * self.source.high

    @cached_property
    def accumulators(self) -> tuple[Range, Range]:
        """Lowest and highest accumulator of each output channel, int64 (out,).

        Of any weights, the extremes are those with all codes 0 and all codes 2^W - 1: +-(2^W - 1) sum(x).
        """
        if self.bounds is Bounds.REAL:
            return self.weights.channel_range(self.source.low, self.source.high)
        reach = np.full(self.channels, ((1 << self.weights.bits) - 1) * self.total_high, np.int64)
        return -reach, reach

    @property
    def whole_range(self) -> tuple[int, int]:
        """Lowest and highest accumulator of the layer."""
        low, high = self.accumulators
        return int(low.min()), int(high.max())


@dataclass(frozen=True)
class PoolStage(Stage):
    """Max pooling."""

    kernel: Pair
    stride: Pair
    padding: Pair


@dataclass(frozen=True)
class ArgmaxStage(Stage):
    """The class: the index of the largest of the last map's channels."""


def fuse(network: IntegerNetwork, bounds: Bounds = Bounds.REAL) -> tuple[Stage, ...]:
    """The stages of a network, in order, with room for the sums of ``bounds``.

    Raises ``UserError`` naming the node for an operation that has no engine, or a graph that is not a chain.
    """
    _check_chain(network)
    stages: list[Stage] = []
    here = _feature_map(network.input)
    for node in network.nodes:
        result = network.types[node.name]
        if isinstance(node.op, Flatten):
            if stages:
                stages[-1] = replace(stages[-1], output=node.name)
        elif isinstance(node.op, Requantise):
            stages[-1] = _with_requantise(stages[-1] if stages else None, node, result)
            here = stages[-1].result
        else:
            stages.append(_bounded(_stage(node, here, result), bounds))
            here = stages[-1].result
    if not any(isinstance(stage, MatrixVectorStage) for stage in stages):
        kinds = ", ".join(node.op.kind for node in network.nodes)
        raise UserError(f"network '{network.name}' must have a conv or linear to build, not only {kinds}")
    _check_names(stages)
    for stage in stages:
        _check_size(stage)
    return tuple(stages)


def _identifier(name: str) -> str:
    """A node's name as hardware can have it: dots, as in PyTorch's names, become underscores."""
    return name.replace(".", "_")


def _check_names(stages: Sequence[Stage]) -> None:
    names = [stage.name for stage in stages]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"layers must have different names with '_' for '.', but '{name}' stands for two; rename one"
            )


def _check_size(stage: Stage) -> None:
    for one, what in ((stage.source, "reads"), (stage.result, "sends")):
        pixels = one.rows * one.columns
        sizes = (pixels, MOST_PIXELS, "pixels"), (one.channels, MOST_CHANNELS, "channels")
        for size, most, name in (*sizes, (pixels * one.channels, MOST_NUMBERS, "numbers")):
            if size > most:
                raise UserError(
                    f"layer '{stage.name}': a map that it {what} must have at most {most:,} {name}, not "
                    f"{size:,}; use smaller images or fewer channels"
                )


def _check_chain(network: IntegerNetwork) -> None:
    before = "input"
    for node in network.nodes:
        if node.inputs != (before,):
            raise UserError(
                f"node '{node.name}' must read '{before}', the node before it, not {', '.join(node.inputs)}: "
                f"engines are joined in a chain, branches have none yet"
            )
        before = node.name


def _feature_map(type: TensorType) -> FeatureMap:
    rows, columns, channels = type.shape if len(type.shape) == 3 else (1, 1, *type.shape)
    return FeatureMap(rows, columns, channels, type.low, type.high)


def _stage(node: Node, source: FeatureMap, type: TensorType) -> Stage:
    op, name = node.op, _identifier(node.name)
    if isinstance(op, Argmax):
        if source.rows * source.columns != 1:
            raise UserError(
                f"node '{node.name}' must read one pixel, not a map of {source.rows} x {source.columns}"
            )
        return ArgmaxStage(name, node.name, source, FeatureMap(1, 1, 1, type.low, type.high))
    if source.low != 0:
        raise UserError(
            f"node '{node.name}' must read codes from 0 up, not {source.low}..{source.high}; "
            f"put a requantise before it"
        )
    if isinstance(op, Conv):
        return MatrixVectorStage(
            name, node.name, source, _feature_map(type), op.weights, op.stride, op.padding, op.groups, None
        )
    if isinstance(op, Linear):
        flat = replace(source, rows=1, columns=source.rows * source.columns)
        codes = op.weights.codes.reshape(op.weights.codes.shape[0], 1, flat.columns, flat.channels)
        return MatrixVectorStage(
            name,
            node.name,
            flat,
            _feature_map(type),
            DorefaWeights(codes, op.weights.bits),
            (1, 1),
            (0, 0),
            1,
            None,
        )
    if isinstance(op, MaxPool):
        return PoolStage(name, node.name, source, _feature_map(type), op.kernel, op.stride, op.padding)
    raise UserError(
        f"node '{node.name}' must be one of conv, linear, max_pool, requantise, flatten, argmax to become "
        f"hardware, not '{op.kind}', which has no engine yet"
    )


def _bounded(stage: Stage, bounds: Bounds) -> Stage:
    """A stage with weights sends sums of ``bounds``, until a requantisation makes codes of them."""
    if not isinstance(stage, MatrixVectorStage):
        return stage
    stage = replace(stage, bounds=bounds)
    if bounds is Bounds.TYPE and stage.raw_high >= 1 << 61:
        raise UserError(f"layer '{stage.name}': the sums of any weights must fit in 62 bits, and do not")
    low, high = stage.whole_range
    return replace(stage, result=replace(stage.result, low=low, high=high))


def _with_requantise(stage: Stage | None, node: Node, type: TensorType) -> Stage:
    if (
        not isinstance(stage, MatrixVectorStage)
        or stage.requantise is not None
        or _identifier(stage.output) != stage.name
    ):
        raise UserError(
            f"requantise '{node.name}' must stand right behind a conv or linear; it is part of that engine"
        )
    assert isinstance(node.op, Requantise)
    return replace(stage, output=node.name, result=_feature_map(type), requantise=node.op)
