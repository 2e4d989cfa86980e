"""The network: a checked, frozen graph of operations that can be run and printed."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from codegen.ir._errors import IrError, shown, whole
from codegen.ir._op import Op
from codegen.ir._types import IntArray, TensorType, integers

INPUT = "input"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,199}")
_BATCH_ELEMENTS = 1 << 22  # of all nodes together in one batch: 32 MiB, plus the windows of one convolution


@dataclass(frozen=True)
class Node:
    """One operation of the graph: `name` is how others read its output, `inputs` are names of earlier nodes or "input"."""

    name: str
    op: Op
    inputs: tuple[str, ...]

    def __post_init__(self) -> None:
        check_name(self.name, "a node's name")
        if not isinstance(self.op, Op):
            raise IrError(f"node '{self.name}' must have an operation of codegen.ir, not {shown(self.op)}")
        if type(self.inputs) is not tuple or not all(type(name) is str for name in self.inputs):
            raise IrError(f"the inputs of node '{self.name}' must be a tuple of names, not {shown(self.inputs)}")


@dataclass(frozen=True)
class Provenance:
    """Where a network comes from: recipe, seed, data set, and how many of its test images each stage got right.

    Raises IrError unless every count is None or in 0..test_images and the texts are printable, at most 200 long.
    """

    recipe: str
    seed: int
    dataset: str
    test_images: int
    teacher_correct: int | None
    student_correct: int | None
    float_correct: int | None = None

    def __post_init__(self) -> None:
        for name in ("recipe", "dataset"):
            text = getattr(self, name)
            if type(text) is not str or not text.isprintable() or len(text) > 200:
                raise IrError(f"{name} must be printable text of at most 200 characters, not {shown(text)}")
        whole(self.seed, "seed", 0, (1 << 63) - 1)
        whole(self.test_images, "test_images", 0, (1 << 63) - 1)
        for name in ("teacher_correct", "student_correct", "float_correct"):
            if getattr(self, name) is not None:
                whole(getattr(self, name), name, 0, self.test_images)


@dataclass(frozen=True)
class IntegerNetwork:
    """A frozen graph of integer operations; the last node is the output. Its run is the golden model.

    Construction checks everything and raises IrError: names are unique and known before use, each operation
    fits its inputs, every range fits its width, and every node but the last is read.
    """

    name: str
    input: TensorType
    nodes: tuple[Node, ...]
    provenance: Provenance | None = None
    _types: Mapping[str, TensorType] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_name(self.name, "a network's name")
        if not isinstance(self.input, TensorType) or len(self.input.shape) not in (1, 3):
            raise IrError(f"a network's input must be a TensorType (H, W, C) or (K,), not {shown(self.input)}")
        if type(self.nodes) is not tuple or not self.nodes or not all(isinstance(n, Node) for n in self.nodes):
            raise IrError(f"a network's nodes must be a tuple of one Node or more, not {shown(self.nodes)}")
        if not isinstance(self.provenance, Provenance | None):
            raise IrError(f"provenance must be a Provenance or None, not {shown(self.provenance)}")
        object.__setattr__(self, "_types", MappingProxyType(_infer(self.input, self.nodes)))

    @property
    def types(self) -> Mapping[str, TensorType]:
        """Type of "input" and of every node's output, in order."""
        return self._types

    @property
    def macs(self) -> int:
        """Multiply-accumulates per image."""
        return sum(node.op.macs(self._types[node.inputs[0]]) for node in self.nodes)

    def run(self, images: npt.ArrayLike) -> IntArray:
        """Output of the last node for integers (N, *input.shape) in the input's range: int64 (N, ...).

        Runs in batches, so memory grows with N only by the images and the result. Raises IrError for images
        of another dtype or shape, or with an element out of range.
        """
        return self._run(images, (self.nodes[-1].name,))[self.nodes[-1].name]

    def trace(self, images: npt.ArrayLike) -> dict[str, IntArray]:
        """As `run`, but the output of every node, by name and in order; all of them are kept, 8 bytes an element."""
        return self._run(images, tuple(node.name for node in self.nodes))

    def _run(self, images: npt.ArrayLike, kept: tuple[str, ...]) -> dict[str, IntArray]:
        array = self._checked(images)
        results = {name: np.empty((len(array), *self._types[name].shape), np.int64) for name in kept}
        for batch in self._batches(len(array)):
            values: dict[str, IntArray] = {INPUT: array[batch].astype(np.int64)}
            for node in self.nodes:
                values[node.name] = node.op.apply(*(values[name] for name in node.inputs))
            for name in kept:
                results[name][batch] = values[name]
        return results

    def _batches(self, count: int) -> Iterator[slice]:
        per_image = sum(type.elements for type in self._types.values())
        step = max(1, _BATCH_ELEMENTS // per_image)
        return (slice(start, start + step) for start in range(0, count, step))

    def _checked(self, images: npt.ArrayLike) -> npt.NDArray[np.integer[Any]]:
        array = integers(images, "images")
        low, high = self.input.low, self.input.high
        if array.shape[1:] != self.input.shape or array.ndim == 0:
            raise IrError(f"images must have the shape (N, {str(self.input.shape)[1:]}, not {array.shape}")
        if array.size and (int(array.min()) < low or int(array.max()) > high):
            raise IrError(f"images must have values in {low}..{high}, not {array.min()}..{array.max()}")
        return array

    def __str__(self) -> str:
        rows = [("node", "operation", "reads", "shape", "range", "bits", "MACs")]
        rows.append((INPUT, "", "", *_type_cells(self.input), ""))
        for node in self.nodes:
            macs = node.op.macs(self._types[node.inputs[0]])
            cells = _type_cells(self._types[node.name])
            rows.append((node.name, node.op.describe(), ", ".join(node.inputs), *cells, f"{macs:,}" if macs else ""))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        return "\n".join([f"network {self.name}, {self.macs:,} multiply-accumulates an image", *lines])


def check_name(name: Any, what: str) -> None:
    """Raise IrError unless `name` is a letter or '_' followed by at most 199 letters, digits, '_' or '.'."""
    if type(name) is not str or not _NAME.fullmatch(name):
        raise IrError(f"{what} must be a letter or '_', then letters, digits, '_' or '.', not {shown(name)}")


def _infer(input: TensorType, nodes: tuple[Node, ...]) -> dict[str, TensorType]:
    """Types of all names, in order; raises IrError, naming the node, where the graph breaks a rule."""
    types = {INPUT: input}
    unread: dict[str, None] = {}
    for node in nodes:
        if node.name in types:
            raise IrError(f"each name must be given once, but '{node.name}' is already taken; rename this node")
        for name in node.inputs:
            if name not in types:
                raise IrError(f"node '{node.name}' must read the input or an earlier node, not the unknown '{name}'")
            unread.pop(name, None)
        try:
            types[node.name] = node.op.infer([types[name] for name in node.inputs])
        except IrError as error:
            raise IrError(f"node '{node.name}': {error}") from error
        unread[node.name] = None
    unread.pop(nodes[-1].name)
    for name in unread:
        raise IrError(f"every node but the last must be read by a later one, but '{name}' is not; remove it")
    return types


def _type_cells(type: TensorType) -> tuple[str, str, str]:
    shape = "x".join(str(size) for size in type.shape) or "1"
    return shape, f"{type.low}..{type.high}", str(type.bits)
