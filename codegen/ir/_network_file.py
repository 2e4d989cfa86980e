"""Networks as files: an operation is stored by the types of its fields. docs/ir.md has the format."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import cache
from os import fspath
from typing import Any, get_type_hints

import numpy as np

from codegen.errors import shown
from codegen.ir._container import Container, FilePath, Tensors, read_container, write_container
from codegen.ir._errors import IrError
from codegen.ir._joins import Add, Argmax, Flatten
from codegen.ir._layers import Conv, Linear
from codegen.ir._network import IntegerNetwork, Node, Provenance, check_name
from codegen.ir._op import Op
from codegen.ir._packing import pack_codes, unpack_codes
from codegen.ir._pools import AvgPool, MaxPool
from codegen.ir._requantise import Requantise
from codegen.ir._types import IntArray, TensorType
from codegen.ir._weights import DorefaWeights
from codegen.ir._window import Pair

_OPS = {op.kind: op for op in (Conv, Linear, Requantise, MaxPool, AvgPool, Add, Flatten, Argmax)}


def save(network: IntegerNetwork, path: FilePath) -> None:
    """Write the network to one file, atomically; equal networks give equal bytes. Raises UserError."""
    tensors: Tensors = {}
    body = {
        "classes": list(network.classes),
        "input": asdict(network.input),
        "name": network.name,
        "nodes": [_write_node(node, tensors) for node in network.nodes],
        "provenance": asdict(network.provenance) if network.provenance else None,
        "side": network.side,
    }
    write_container(path, "network", body, tensors)


def load(path: FilePath) -> IntegerNetwork:
    """Read a network that `save` wrote, and check all of it; any other file raises IrError."""
    try:
        file = read_container(path, "network")
        network = _read_network(file)
        file.finish()
    except IrError as error:
        raise IrError(f"network file '{fspath(path)}': {error}") from error
    return network


@dataclass(frozen=True)
class _Codec:
    """How a field of one type is stored: `write` gives JSON and may add a tensor; `read` is the inverse."""

    write: Callable[[Any, str, Tensors], Any]
    read: Callable[[Any, str, Container], Any]


def _write_weights(weights: DorefaWeights, name: str, tensors: Tensors) -> dict[str, Any]:
    tensors[name] = pack_codes(weights.codes, weights.bits)
    return {"bits": weights.bits, "shape": list(weights.shape)}


def _read_weights(entry: Any, name: str, file: Container) -> DorefaWeights:
    stored = _object(entry, f"the weights '{name}'", {"bits", "shape"})
    shape = _sizes(stored["shape"], f"the shape of '{name}'")
    if min(shape, default=0) < 1:
        raise IrError(f"the shape of '{name}' must have sizes of at least 1, not {shown(shape)}")
    # Whatever shape the file claims, only one of exactly the size of the packed tensor is unpacked.
    codes = unpack_codes(file.take(name, np.uint8), stored["bits"], math.prod(shape))
    return DorefaWeights(codes.reshape(shape), stored["bits"])


def _write_array(array: IntArray, name: str, tensors: Tensors) -> list[int]:
    tensors[name] = array
    return list(array.shape)


def _read_array(entry: Any, name: str, file: Container) -> IntArray:
    array: IntArray = file.take(name, np.int64)
    if list(array.shape) != entry:
        raise IrError(f"the tensor '{name}' must have the shape {shown(entry)}, not {list(array.shape)}")
    return array


_CODECS: dict[Any, _Codec] = {
    int: _Codec(lambda value, name, tensors: value, lambda entry, name, file: entry),
    Pair: _Codec(lambda value, name, tensors: list(value), lambda entry, name, file: _sizes(entry, name)),
    IntArray: _Codec(_write_array, _read_array),
    DorefaWeights: _Codec(_write_weights, _read_weights),
}


@cache
def _codecs(op: type[Op]) -> dict[str, _Codec]:
    hints = get_type_hints(op)
    return {field.name: _CODECS[hints[field.name]] for field in fields(op)}  # type: ignore[arg-type]


def _write_node(node: Node, tensors: Tensors) -> dict[str, Any]:
    entry: dict[str, Any] = {"inputs": list(node.inputs), "name": node.name, "op": node.op.kind}
    for name, codec in _codecs(type(node.op)).items():
        entry[name] = codec.write(getattr(node.op, name), f"{node.name}.{name}", tensors)
    return entry


def _read_network(file: Container) -> IntegerNetwork:
    newer = {"classes", "side"} if file.version > 1 else set()
    body = _object(file.body, "the body", {"input", "name", "nodes", "provenance"} | newer)
    input = _object(body["input"], "the input", {"shape", "low", "high"})
    nodes = tuple(_read_node(entry, file) for entry in _list(body["nodes"], "nodes"))
    provenance = body["provenance"]
    if provenance is not None:
        names = {field.name for field in fields(Provenance)}
        provenance = Provenance(**_object(provenance, "the provenance", names))
    images = TensorType(_sizes(input["shape"], "the shape of the input"), input["low"], input["high"])
    classes = tuple(_list(body.get("classes", []), "the classes"))
    return IntegerNetwork(body["name"], images, nodes, provenance, classes, body.get("side"))


def _read_node(entry: Any, file: Container) -> Node:
    kind = entry.get("op") if isinstance(entry, dict) else None
    if not isinstance(kind, str) or kind not in _OPS:
        raise IrError(f"the op of a node must be one of {', '.join(_OPS)}, not {shown(kind)}")
    codecs = _codecs(_OPS[kind])
    stored = _object(entry, f"a node of op {kind}", {"inputs", "name", "op", *codecs})
    name = stored["name"]
    check_name(name, "a node's name")
    try:
        parts = {part: codec.read(stored[part], f"{name}.{part}", file) for part, codec in codecs.items()}
        op = _OPS[kind](**parts)
    except IrError as error:
        raise IrError(f"node '{name}': {error}") from error
    return Node(name, op, tuple(_list(stored["inputs"], f"the inputs of node '{name}'")))


def _object(value: Any, what: str, keys: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != keys:
        raise IrError(f"{what} must be an object of {', '.join(sorted(keys))}, not {shown(value)}")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise IrError(f"{what} must be a list, not {shown(value)}")
    return value


def _sizes(value: Any, what: str) -> tuple[int, ...]:
    """A JSON list of ints as a tuple; whether they are good sizes, the type or operation says."""
    if not all(type(size) is int for size in _list(value, what)):
        raise IrError(f"{what} must be a list of integers, not {shown(value)}")
    return tuple(value)
