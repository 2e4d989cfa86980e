"""The network, and its file, that several tests of the representation use."""

import hashlib
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save as to_safetensors

from codegen.ir import (
    Add,
    Argmax,
    AvgPool,
    Conv,
    DorefaWeights,
    Flatten,
    IntegerNetwork,
    Linear,
    MaxPool,
    Node,
    Provenance,
    Requantise,
    TensorType,
    save,
)


def example_weights(bits: int, *shape: int) -> DorefaWeights:
    rng = np.random.default_rng([bits, *shape])
    return DorefaWeights(rng.integers(0, 1 << bits, shape), bits)


@pytest.fixture
def network() -> IntegerNetwork:
    """Every operation, codes that straddle bytes, and scales per layer and per channel."""
    first, second = example_weights(3, 4, 3, 3, 1), example_weights(5, 4, 3, 3, 2)
    last = example_weights(3, 3, 16)
    scale = Requantise(np.array([40, 41, 43, 47]), np.array(-900), weight_bits=3, fraction=6, bits=4)
    nodes = (
        Node(
            "conv1", Conv(first, padding=(1, 1), accumulator_bits=first.accumulator_bits(0, 15)), ("input",)
        ),
        Node("scale1", scale, ("conv1",)),
        Node("pool1", MaxPool((2, 2), (2, 2)), ("scale1",)),
        Node("conv2", Conv(second, padding=(1, 1), groups=2, accumulator_bits=20), ("pool1",)),
        Node("scale2", Requantise(np.array(3), np.array(5), 5, 4, 4), ("conv2",)),
        Node("sum", Add(), ("scale2", "pool1")),
        Node("pool2", AvgPool((2, 3), (2, 1)), ("sum",)),
        Node("flat", Flatten(), ("pool2",)),
        Node("fc", Linear(last, accumulator_bits=13), ("flat",)),
        Node("class", Argmax(), ("fc",)),
    )
    provenance = Provenance("tiny_w3a4", 7, "digits", 360, teacher_correct=350, student_correct=341)
    return IntegerNetwork("tiny", TensorType((8, 8, 1), 0, 15), nodes, provenance)


@pytest.fixture(scope="session")
def documented() -> Callable[[str], bool]:
    """Whether docs/ir.md lists a sentence, be it with other names and values."""

    def kind(sentence: str) -> str:
        return re.sub(r"^node '\w+': |'[^']*'|-?\d+", "_", sentence.strip()).lstrip("_").split(", not ")[0]

    listed = {kind(line) for line in (Path(__file__).parents[2] / "docs" / "ir.md").read_text().splitlines()}
    return lambda sentence: kind(sentence) in listed


@pytest.fixture
def images(network: IntegerNetwork) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 16, (9, *network.input.shape), dtype=np.uint8)


class SavedFile:
    """A file decoded as docs/ir.md says, and by nothing else; `header` and `tensors` may be edited."""

    def __init__(self, path: Path) -> None:
        self.path, content = path, path.read_bytes()
        (size,) = struct.unpack("<Q", content[:8])
        table = json.loads(content[8 : 8 + size])
        self.header: dict[str, Any] = json.loads(table.pop("__metadata__")["intandem"])
        self.tensors: dict[str, np.ndarray] = {}
        for name, entry in table.items():
            start, end = (8 + size + offset for offset in entry["data_offsets"])
            dtype = {"U8": "u1", "I64": "<i8"}[entry["dtype"]]
            self.tensors[name] = np.frombuffer(content[start:end], dtype).reshape(entry["shape"])

    def digest(self) -> str:
        unsigned = {key: value for key, value in self.header.items() if key != "digest"}
        digest = hashlib.sha256(compact(unsigned).encode())
        for name, array in sorted(self.tensors.items()):
            dtype = "U8" if array.itemsize == 1 else "I64"
            digest.update(compact([name, dtype, list(array.shape)]).encode() + array.tobytes())
        return digest.hexdigest()

    def set(self, place: str, value: Any) -> None:
        """Edit the header: `place` is its keys and indices with dots between."""
        *parents, last = [int(key) if key.isdigit() else key for key in place.split(".")]
        parent: Any = self.header
        for key in parents:
            parent = parent[key]
        parent[last] = value

    def sign(self) -> None:
        """Give it the digest that fits, as an attacker would."""
        self.header["digest"] = self.digest()

    def write(self) -> None:
        self.path.write_bytes(to_safetensors(self.tensors, {"intandem": compact(self.header)}))


def compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


@pytest.fixture
def saved(network: IntegerNetwork, tmp_path: Path) -> SavedFile:
    """The file of `network`, for the tests to read, edit or damage."""
    save(network, tmp_path / "network.safetensors")
    return SavedFile(tmp_path / "network.safetensors")
