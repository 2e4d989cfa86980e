"""The network: a checked, frozen graph of operations that can be run and printed."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from codegen.errors import shown
from codegen.ir._errors import IrError, whole
from codegen.ir._op import Op
from codegen.ir._types import IntArray, TensorType, integers

INPUT = "input"
MAX_CLASSES, MAX_SIDE, MAX_NODES = 65_536, 65_535, 65_536
MAX_TOGETHER, MAX_MACS = 1 << 30, 1 << 42  # VGG-16 at 1024 x 1024 x 3 has 2^29 elements and 2^38
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,199}")
_BATCH_ELEMENTS = 1 << 24  # of all nodes' outputs together: 128 MiB


@dataclass(frozen=True)
class Node:
    """One operation of the graph. `inputs` are the names of earlier nodes, or "input" for the images."""

    name: str
    op: Op
    inputs: tuple[str, ...]

    def __post_init__(self) -> None:
        check_name(self.name, "a node's name")
        if not isinstance(self.op, Op):
            raise IrError(f"node '{self.name}' must have an operation of codegen.ir, not {shown(self.op)}")
        if type(self.inputs) is not tuple or not all(type(name) is str for name in self.inputs):
            raise IrError(f"node '{self.name}' must read a tuple of names, not {shown(self.inputs)}")


@dataclass(frozen=True)
class Provenance:
    """Where a network comes from: recipe, seed, data set, and how many test images each stage gets right.

    Raises IrError unless each count is None or in 0..test_images and the texts are printable, of at most 200.
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
    """A frozen graph of integer operations, the last node its output. Running it is the golden model.

    Construction checks everything and raises IrError: names are unique and known before use, each operation
    fits its inputs, every range fits its width, and every node but the last is read.

    `classes`: what the indices that it gives stand for, if that is known. `side`: pictures are scaled to so
    many pixels a side before their middle, of the input's size, is cut out; None for the input's own size.
    """

    name: str
    input: TensorType
    nodes: tuple[Node, ...]
    provenance: Provenance | None = None
    classes: tuple[str, ...] = ()
    side: int | None = None
    _types: Mapping[str, TensorType] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_name(self.name, "a network's name")
        if not isinstance(self.input, TensorType) or len(self.input.shape) not in (1, 3):
            raise IrError(f"a network must read a TensorType of (H, W, C) or (K,), not {shown(self.input)}")
        nodes = self.nodes
        if type(nodes) is not tuple or not nodes or not all(isinstance(node, Node) for node in nodes):
            raise IrError(f"a network's nodes must be a tuple of one Node or more, not {shown(nodes)}")
        if not isinstance(self.provenance, Provenance | None):
            raise IrError(f"provenance must be a Provenance or None, not {shown(self.provenance)}")
        if len(nodes) > MAX_NODES:
            raise IrError(f"a network must have at most {MAX_NODES:,} nodes, not {len(nodes):,}")
        object.__setattr__(self, "_types", MappingProxyType(_infer(self.input, nodes)))
        self._check_size()
        self._check_pictures()

    def _check_size(self) -> None:
        """What an image may ask for: memory in `trace`, time in both."""
        elements = sum(type.elements for type in self._types.values())
        if elements > MAX_TOGETHER:
            raise IrError(
                f"all tensors of an image together must have at most {MAX_TOGETHER:,} elements, "
                f"not {elements:,}; use smaller images or fewer channels"
            )
        if self.macs > MAX_MACS:
            raise IrError(
                f"a network must need at most {MAX_MACS:,} multiply-accumulates an image, not {self.macs:,}; "
                f"use smaller images or fewer channels"
            )

    def _check_pictures(self) -> None:
        check_classes(self.classes)
        output = self._types[self.nodes[-1].name]
        if self.classes and (output.shape != () or output.high + 1 != len(self.classes)):
            raise IrError(
                f"a network's classes must be as many as its output has values, not {len(self.classes)} for "
                f"{output.low}..{output.high} of shape {output.shape}"
            )
        if self.side is not None:
            least = max(self.input.shape[:2]) if len(self.input.shape) == 3 else 1
            whole(self.side, "the side of pictures", least, MAX_SIDE)

    @property
    def types(self) -> Mapping[str, TensorType]:
        """Type of "input" and of every node's output, in order."""
        return self._types

    @property
    def macs(self) -> int:
        """Multiply-accumulates per image."""
        return sum(self._macs(node) for node in self.nodes)

    def run(self, images: npt.ArrayLike) -> IntArray:
        """Output of the last node, int64 (N, ...), for integers (N, *input.shape) in the input's range.

        Runs in batches: memory grows with N by the images and the result only. Raises IrError for images of
        another dtype or shape, or with an element out of range.
        """
        return self._run(images, (self.nodes[-1].name,))[self.nodes[-1].name]

    def trace(self, images: npt.ArrayLike) -> dict[str, IntArray]:
        """As `run`, but the output of every node, by name and in order: 8 bytes an element, so mind N."""
        return self._run(images, tuple(node.name for node in self.nodes))

    def _run(self, images: npt.ArrayLike, kept: tuple[str, ...]) -> dict[str, IntArray]:
        array = self._checked(images)
        results = {name: np.empty((len(array), *self._types[name].shape), np.int64) for name in kept}
        last = {name: node for node in self.nodes for name in node.inputs}  # that reads it
        for batch in self._batches(len(array)):
            values: dict[str, IntArray] = {INPUT: array[batch].astype(np.int64)}
            for node in self.nodes:
                values[node.name] = node.op.apply(*(values[name] for name in node.inputs))
                if node.name in results:
                    results[node.name][batch] = values[node.name]
                for name in {name for name in node.inputs if last[name] is node}:
                    del values[name]
        return results

    def _batches(self, count: int) -> Iterator[slice]:
        step = max(1, _BATCH_ELEMENTS // sum(type.elements for type in self._types.values()))
        return (slice(start, start + step) for start in range(0, count, step))

    def _checked(self, images: npt.ArrayLike) -> npt.NDArray[np.integer[Any]]:
        array = integers(images, "images")
        if array.ndim == 0 or array.shape[1:] != self.input.shape:
            expected = ", ".join(["N", *(str(size) for size in self.input.shape)])
            raise IrError(f"images must have the shape ({expected}), not {array.shape}")
        low, high = self.input.low, self.input.high
        if array.size and (int(array.min()) < low or int(array.max()) > high):
            raise IrError(f"images must have values in {low}..{high}, not {array.min()}..{array.max()}")
        return array

    def _macs(self, node: Node) -> int:
        return node.op.macs(self._types[node.inputs[0]])

    def __str__(self) -> str:
        rows = [["node", "operation", "reads", "shape", "range", "bits", "MACs"]]
        rows.append([INPUT, "", "", *_cells(self.input), ""])
        for node in self.nodes:
            macs = f"{self._macs(node):,}" if self._macs(node) else ""
            reads = ", ".join(node.inputs)
            rows.append([node.name, node.op.describe(), reads, *_cells(self._types[node.name]), macs])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
        return "\n".join([f"network {self.name}, {self.macs:,} multiply-accumulates an image", *lines])


def check_name(name: Any, what: str) -> None:
    """Raise IrError unless `name` is a letter or '_', then at most 199 letters, digits, '_' or '.'."""
    if type(name) is not str or not _NAME.fullmatch(name):
        raise IrError(f"{what} must be a letter or '_', then letters, digits, '_' or '.', not {shown(name)}")


def class_text(classes: tuple[str, ...], index: int) -> str:
    """An index of a class, and its name if that is known and says more."""
    known = 0 <= index < len(classes) and classes[index] != str(index)
    return f"{index} ({classes[index]})" if known else str(index)


def check_classes(classes: Any) -> None:
    """Raise IrError unless `classes` is a tuple of printable names of at most 200 characters each."""
    if type(classes) is not tuple or len(classes) > MAX_CLASSES:
        raise IrError(f"classes must be a tuple of at most {MAX_CLASSES:,} names, not {shown(classes)}")
    for name in classes:
        if type(name) is not str or not name.isprintable() or not 0 < len(name) <= 200:
            raise IrError(
                f"the name of a class must be printable text of 1 to 200 characters, not {shown(name)}"
            )


def _infer(input: TensorType, nodes: tuple[Node, ...]) -> dict[str, TensorType]:
    """Types of all names, in order; raises IrError, naming the node, where the graph breaks a rule."""
    types = {INPUT: input}
    for node in nodes:
        if node.name in types:
            raise IrError(f"each name must be given once, but '{node.name}' is taken; rename the later node")
        for name in node.inputs:
            if name not in types:
                raise IrError(
                    f"node '{node.name}' must read the input or an earlier node, not {shown(name)}, "
                    f"which is neither; known here: {', '.join(types)}"
                )
        try:
            types[node.name] = node.op.infer([types[name] for name in node.inputs])
        except IrError as error:
            raise IrError(f"node '{node.name}': {error}") from error
    read = {name for node in nodes for name in node.inputs}
    for node in nodes[:-1]:
        if node.name not in read:
            raise IrError(f"each node but the last must be read by a later one, but '{node.name}' is not")
    return types


def _cells(type: TensorType) -> tuple[str, str, str]:
    shape = "x".join(str(size) for size in type.shape) or "1"
    return shape, f"{type.low}..{type.high}", str(type.bits)
