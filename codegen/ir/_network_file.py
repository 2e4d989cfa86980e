"""Networks as files. An operation's fields say how it is stored; docs/ir.md has the format."""

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any, get_type_hints

import numpy as np

from codegen.ir._container import Container, Tensors, read_container, write_container
from codegen.ir._errors import IrError, shown
from codegen.ir._joins import Add, Argmax, Flatten
from codegen.ir._layers import Conv, Linear
from codegen.ir._network import IntegerNetwork, Node, Provenance
from codegen.ir._op import Op
from codegen.ir._packing import pack_codes, unpack_codes
from codegen.ir._pools import AvgPool, MaxPool
from codegen.ir._requantise import Requantise
from codegen.ir._types import MAX_ELEMENTS, IntArray, TensorType
from codegen.ir._weights import DorefaWeights
from codegen.ir._window import Pair

_OPS: dict[str, type[Op]] = {op.kind: op for op in (Conv, Linear, Requantise, MaxPool, AvgPool, Add, Flatten, Argmax)}


def save(network: IntegerNetwork, path: str | os.PathLike[str]) -> None:
    """Write the network to one file, atomically; the same network gives the same bytes. Raises UserError."""
    tensors: Tensors = {}
    body = {
        "input": {**asdict(network.input), "shape": list(network.input.shape)},
        "name": network.name,
        "nodes": [_write_node(node, tensors) for node in network.nodes],
        "provenance": asdict(network.provenance) if network.provenance else None,
    }
    write_container(path, "network", body, tensors)


def load(path: str | os.PathLike[str]) -> IntegerNetwork:
    """Read a network that `save` wrote. Everything is checked: any other file raises IrError and does nothing else."""
    try:
        file = read_container(path, "network")
        network = _read_network(file)
        file.finish()
    except IrError as error:
        raise IrError(f"network file '{os.fspath(path)}': {error}") from error
    return network


@dataclass(frozen=True)
class _Codec:
    """How a field of one type is stored: `write` returns its JSON and may add the tensor; `read` is the inverse."""

    write: Callable[[Any, str, Tensors], Any]
    read: Callable[[Any, str, Container], Any]


def _write_weights(weights: DorefaWeights, name: str, tensors: Tensors) -> dict[str, Any]:
    tensors[name] = pack_codes(weights.codes, weights.bits)
    return {"bits": weights.bits, "shape": list(weights.shape)}


def _read_weights(entry: Any, name: str, file: Container) -> DorefaWeights:
    stored = _object(entry, name, {"bits", "shape"})
    shape = _sizes(stored["shape"], f"the shape of {name}")
    count = math.prod(shape)
    if min(shape, default=0) < 1 or count > MAX_ELEMENTS:
        raise IrError(f"the shape of {name} must hold 1..{MAX_ELEMENTS} codes, not be {shown(shape)}")
    codes = unpack_codes(file.take(name, np.uint8), stored["bits"], count)
    return DorefaWeights(codes.reshape(shape), stored["bits"])


def _write_array(array: IntArray, name: str, tensors: Tensors) -> list[int]:
    tensors[name] = array
    return list(array.shape)


def _read_array(entry: Any, name: str, file: Container) -> IntArray:
    array: IntArray = file.take(name, np.int64)
    if list(array.shape) != entry:
        raise IrError(f"the tensor '{name}' must have the shape {shown(entry)}, not {array.shape}")
    return array


_CODECS: dict[Any, _Codec] = {
    int: _Codec(lambda value, name, tensors: value, lambda entry, name, file: entry),
    Pair: _Codec(lambda value, name, tensors: list(value), lambda entry, name, file: _sizes(entry, name)),
    IntArray: _Codec(_write_array, _read_array),
    DorefaWeights: _Codec(_write_weights, _read_weights),
}


def _codecs(op: type[Op]) -> dict[str, _Codec]:
    hints = get_type_hints(op)
    return {field.name: _CODECS[hints[field.name]] for field in fields(op)}  # type: ignore[arg-type]


def _write_node(node: Node, tensors: Tensors) -> dict[str, Any]:
    entry: dict[str, Any] = {"inputs": list(node.inputs), "name": node.name, "op": node.op.kind}
    for name, codec in _codecs(type(node.op)).items():
        entry[name] = codec.write(getattr(node.op, name), f"{node.name}.{name}", tensors)
    return entry


def _read_network(file: Container) -> IntegerNetwork:
    body = _object(file.body, "the body", {"input", "name", "nodes", "provenance"})
    input = _object(body["input"], "the input", {"shape", "low", "high"})
    nodes = tuple(_read_node(entry, file) for entry in _list(body["nodes"], "nodes"))
    provenance = body["provenance"]
    if provenance is not None:
        names = {field.name for field in fields(Provenance)}
        provenance = Provenance(**_object(provenance, "the provenance", names))
    type = TensorType(_sizes(input["shape"], "the shape of the input"), input["low"], input["high"])
    return IntegerNetwork(body["name"], type, nodes, provenance)


def _read_node(entry: Any, file: Container) -> Node:
    kind = entry.get("op") if isinstance(entry, dict) else None
    if not isinstance(kind, str) or kind not in _OPS:
        raise IrError(f"a node's op must be one of {', '.join(_OPS)}, not {shown(kind)}")
    codecs = _codecs(_OPS[kind])
    stored = _object(entry, f"a {kind} node", {"inputs", "name", "op", *codecs})
    name = stored["name"]
    try:
        values = {field: codec.read(stored[field], f"{name}.{field}", file) for field, codec in codecs.items()}
        op = _OPS[kind](**values)
    except IrError as error:
        raise IrError(f"node {shown(name)}: {error}") from error
    return Node(name, op, tuple(_list(stored["inputs"], "inputs")))


def _object(value: Any, what: str, keys: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != keys:
        raise IrError(f"{what} must be an object with {', '.join(sorted(keys))}, not {shown(value)}")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise IrError(f"{what} must be a list, not {shown(value)}")
    return value


def _sizes(value: Any, what: str) -> tuple[int, ...]:
    """A JSON list of ints as a tuple; whether they are good sizes is for the type or operation to say."""
    sizes = _list(value, what)
    if not all(type(size) is int for size in sizes):
        raise IrError(f"{what} must be a list of integers, not {shown(value)}")
    return tuple(sizes)
