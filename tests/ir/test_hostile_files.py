"""Damaged, edited, foreign and hostile files: only an IrError or an equal network ever comes of them."""

import json
import math
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save as to_safetensors

from codegen.ir import IntegerNetwork, IrError, load

if TYPE_CHECKING:
    from conftest import SavedFile

    Edit = Callable[[SavedFile], None]


def _message(path: Path) -> str:
    """What `load` says, without the name of the file."""
    start = f"network file '{path}': "
    with pytest.raises(IrError) as error:
        load(path)
    assert str(error.value).startswith(start)
    return str(error.value)[len(start) :]


def _equal_or_refused(path: Path, network: IntegerNetwork, case: str) -> None:
    try:
        loaded = load(path)
    except IrError:
        return
    assert loaded == network, case


@contextmanager
def _little_memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20, f"{peak} bytes"


# Damage: no byte may change unseen.


def test_a_flipped_bit_is_seen(network: IntegerNetwork, saved: "SavedFile") -> None:
    content = saved.path.read_bytes()
    rng = np.random.default_rng(1)
    for place in [*range(100), *rng.integers(0, len(content), 900).tolist()]:
        damaged, bit = bytearray(content), int(rng.integers(8))
        damaged[place] ^= 1 << bit
        saved.path.write_bytes(damaged)
        _equal_or_refused(saved.path, network, f"bit {bit} of byte {place}")


def test_bytes_put_in_or_taken_out_are_seen(network: IntegerNetwork, saved: "SavedFile") -> None:
    content, rng = saved.path.read_bytes(), np.random.default_rng(2)
    for _ in range(500):
        start, length, fresh = (
            int(rng.integers(len(content))),
            int(rng.integers(9)),
            rng.bytes(int(rng.integers(9))),
        )
        saved.path.write_bytes(content[:start] + fresh + content[start + length :])
        _equal_or_refused(saved.path, network, f"{length} bytes at {start} replaced by {fresh!r}")


def test_a_truncated_file_is_refused(saved: "SavedFile") -> None:
    content = saved.path.read_bytes()
    table = 8 + struct.unpack("<Q", content[:8])[0]
    near = {*range(20), *range(table - 20, table + 20), *range(len(content) - 20, len(content))}
    for size in sorted(near | set(range(0, len(content), 17))):
        saved.path.write_bytes(content[:size])
        assert "it must be a whole safetensors file, but: " in _message(saved.path), f"first {size} bytes"


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_are_refused(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    content = rng.bytes(int(rng.integers(0, 3000)))
    if seed % 2:  # a believable length of the table, to come one step further
        content = struct.pack("<Q", len(content) // 2) + content
    (tmp_path / "random").write_bytes(content)
    assert _message(tmp_path / "random").startswith("it must be a whole safetensors file, but: ")


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert "No such file or directory" in _message(tmp_path / "missing.safetensors")
    assert _message(tmp_path).startswith("it must be a ")
    (tmp_path / "file").write_text("")
    assert _message(tmp_path / "file" / "below").startswith("it must be a file that can be read, but: ")


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}])
def test_foreign_files_are_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(to_safetensors({"weight": np.zeros((2, 2), np.float32)}, metadata))
    assert _message(path) == "it must be a file of this project, but its metadata has no key 'intandem'"
    path.write_bytes(to_safetensors({"weight": np.zeros((2, 2), np.float32)}, {"intandem": "{}"}))
    assert _message(path) == "the tensor 'weight' must be of type U8 or I64, not F32"


# Claims: a size in the file allocates nothing.


@pytest.mark.parametrize("sizes", [[1 << 60], [1 << 32, 1 << 32], [1 << 63, 2], [1 << 20, 1 << 20]])
def test_a_table_that_claims_too_much_allocates_nothing(tmp_path: Path, sizes: list[int]) -> None:
    entry = {"dtype": "U8", "shape": sizes, "data_offsets": [0, math.prod(sizes) % (1 << 63)]}
    table = json.dumps({"__metadata__": {"intandem": "{}"}, "conv1.weights": entry}).encode()
    for length in (len(table), 1 << 62, (1 << 64) - 1):
        (tmp_path / "claim").write_bytes(struct.pack("<Q", length) + table)
        with _little_memory():
            message = _message(tmp_path / "claim")
        assert message.startswith("it must be a whole safetensors file, but: ")


# Edits: the digest sees them; with a digest made to fit, the checks do.


def _set(place: str, value: Any) -> "Edit":
    return lambda file: file.set(place, value)


def _put(name: str, tensor: np.ndarray) -> "Edit":
    return lambda file: file.tensors.__setitem__(name, tensor)


def _drop(name: str) -> "Edit":
    return lambda file: file.tensors.__delitem__(name)


@pytest.mark.parametrize(
    "edit",
    [
        _set("body.name", "other"),
        _set("body.nodes.6.kernel", [1, 3]),
        _set("body.provenance.student_correct", 360),
        _put("scale1.beta", np.array(-901)),
        lambda file: _put("conv1.weights", file.tensors["conv1.weights"] ^ np.uint8(1))(file),
    ],
)
def test_edited_content_is_refused_by_its_digest(
    network: IntegerNetwork, saved: "SavedFile", edit: "Edit", documented: Callable[[str], bool]
) -> None:
    edit(saved)
    saved.write()
    sentence = "the content must match its digest, but was edited or damaged; write the file anew"
    assert _message(saved.path) == sentence and documented(sentence)
    saved.sign()
    saved.write()
    assert load(saved.path) != network


EDITS: "list[tuple[Edit, str]]" = [
    (_set("version", 3), "the format version must be 1 or 2, not 3; write the file with this release"),
    (_set("version", True), "the format version must be 1 or 2, not True; write the file with this release"),
    (_set("kind", "test set"), "the file must hold a network, not 'test set'"),
    (
        _set("body", []),
        "the metadata must hold body (an object), digest, kind and version, and nothing else",
    ),
    (
        _set("extra", 1),
        "the metadata must hold body (an object), digest, kind and version, and nothing else",
    ),
    (_drop("conv1.weights"), "node 'conv1': the file must hold the tensor 'conv1.weights', but does not"),
    (_put("more", np.zeros(1, np.uint8)), "each tensor of the file must be used, but 'more' is not"),
    (
        _put("scale1.alpha", np.zeros(4, np.uint8)),
        "node 'scale1': the tensor 'scale1.alpha' must be of dtype int64, not uint8",
    ),
    (
        _put("scale1.alpha", np.array([40, 41, 43, 47, 48])),
        "node 'scale1': the tensor 'scale1.alpha' must have the shape [4], not [5]",
    ),
    (
        _put("scale1.alpha", np.array([4, 0, 1, 1])),
        "node 'scale1': alpha must be above 0, not 0, as in channel 1",
    ),
    (
        _put("conv1.weights", np.zeros(15, np.uint8)),
        "node 'conv1': 36 codes of 3 bits must be packed in uint8 of shape (14,), "
        "not in uint8 of shape (15,)",
    ),
    (
        _put("conv1.weights", np.full(14, 255, np.uint8)),
        "node 'conv1': the 4 high bits of the last packed byte must be 0, not as in 0xff",
    ),
    (
        _set("body.nodes.0.weights.shape", [1 << 20, 1 << 20, 1 << 20, 1]),
        "node 'conv1': the number of codes must be in 0..134217728, not 1152921504606846976",
    ),
    (
        _set("body.nodes.0.weights.shape", [1 << 13, 1 << 14, 1, 1]),
        "node 'conv1': 134217728 codes of 3 bits must be packed in uint8 of shape (50331648,), "
        "not in uint8 of shape (14,)",
    ),
    (
        _set("body.nodes.0.weights.shape", [4, 3, 0, 1]),
        "node 'conv1': the shape of 'conv1.weights' must have sizes of at least 1, not (4, 3, 0, 1)",
    ),
    (_set("body.nodes.0.weights.bits", 9), "node 'conv1': the bits of a code must be in 1..8, not 9"),
    (
        _set("body.nodes.0.accumulator_bits", 3),
        "node 'conv1': accumulator_bits must hold every sum, but channel 0 reaches -165..390, "
        "which 3 bits do not hold; this layer needs 10",
    ),
    (
        _set("body.nodes.0.accumulator_bits", 10**3000),
        "node 'conv1': accumulator_bits must be in 1..62, not an integer of 9966 bits",
    ),
    (
        _set("body.nodes.0.op", "softmax"),
        "the op of a node must be one of conv, linear, requantise, max_pool, avg_pool, add, flatten, argmax, "
        "not 'softmax'",
    ),
    (_set("body.nodes.2.kernel", [2, 2.5]), "the metadata must hold no number but integers, not '2.5'"),
    (_set("body.nodes.2.kernel", math.nan), "the metadata must hold no number but integers, not 'NaN'"),
    (_set("body.nodes.2.kernel", 2), "node 'pool1': pool1.kernel must be a list, not 2"),
    (
        _set("body.nodes.2.kernel", ["2", 2]),
        "node 'pool1': pool1.kernel must be a list of integers, not ['2', 2]",
    ),
    (
        _set("body.nodes.5.by", 1),
        "a node of op add must be an object of inputs, name, op, not "
        "{'by': 1, 'inputs': ['scale2', 'pool1'], 'name': 'sum', 'op': 'add'}",
    ),
    (
        _set("body.nodes.3.inputs", ["nowhere"]),
        "node 'conv2' must read the input or an earlier node, not 'nowhere', which is neither; "
        "known here: input, conv1, scale1, pool1",
    ),
]


@pytest.mark.parametrize(("edit", "sentence"), EDITS, ids=[sentence for _, sentence in EDITS])
def test_an_edit_with_a_fitting_digest_is_told_in_these_words(
    saved: "SavedFile", edit: "Edit", sentence: str, documented: Callable[[str], bool]
) -> None:
    edit(saved)
    saved.sign()
    saved.write()
    with _little_memory():
        message = _message(saved.path)
    assert message == sentence
    assert documented(sentence)


CANONICAL = "the metadata must be one JSON object in ASCII, keys sorted, without spaces"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the metadata must be JSON, but: Expecting value: line 1 column 1 (char 0)"),
        ("[" * 100_000, "the metadata must be JSON, but: maximum recursion depth exceeded"),
        ('{"a":' * 100_000, "the metadata must be JSON, but: maximum recursion depth exceeded"),
        ('{"a":1' + "0" * 5000 + "}", "the metadata must be JSON, but: Exceeds the limit (4300 digits)"),
        ('{"a":1e400}', "the metadata must hold no number but integers, not '1e400'"),
        ('{"a":-Infinity}', "the metadata must hold no number but integers, not '-Infinity'"),
        ("[]", CANONICAL),
        ('{"version": 1}', CANONICAL),
        ('{"a":1,"a":1}', CANONICAL),
        ('{"a":"\N{SNOWMAN}"}', CANONICAL),
        ('{"a":"\\ud800"}', "the format version must be 1 or 2, not None; write the file with this release"),
        ("{}", "the format version must be 1 or 2, not None; write the file with this release"),
    ],
    ids=range(12),
)
def test_metadata_of_another_form_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "file").write_bytes(to_safetensors({}, {"intandem": text}))
    assert _message(tmp_path / "file").startswith(sentence)


def _places(value: Any, place: str) -> Iterator[str]:
    yield place
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from _places(value[key], f"{place}.{key}")


def test_wrong_json_anywhere_raises_nothing_but_ir_errors(saved: "SavedFile") -> None:
    nested: Any = 1
    for _ in range(300):
        nested = [nested]
    values = [None, True, -1, 1 << 40, 10**4000, "\ud800", [], [1], {}, nested]
    original, loaded = json.dumps(saved.header), 0
    for place in _places(saved.header["body"], "body"):
        for value in values:
            saved.header = json.loads(original)
            saved.set(place, value)
            saved.sign()
            saved.write()
            try:
                load(saved.path)
                loaded += 1
            except IrError as error:
                assert len(str(error)) < 1000, f"{place} = {str(value)[:50]}"
    assert loaded > 5  # such as another seed, or no provenance


def test_any_tensor_anywhere_raises_nothing_but_ir_errors(
    network: IntegerNetwork, saved: "SavedFile"
) -> None:
    values = [np.zeros(shape, dtype) for shape in ((), (0,), (4,), (2, 2)) for dtype in (np.uint8, np.int64)]
    values += [np.array(-1 << 63), np.full(4, (1 << 63) - 1)]
    original = dict(saved.tensors)
    for name in original:
        for value in values:
            saved.tensors = {**original, name: value}
            saved.write()
            assert _message(saved.path), f"{name} is {value}"
            saved.sign()
            saved.write()
            try:
                loaded = load(saved.path)
            except IrError:
                continue
            assert loaded != network, f"{name} is {value}"  # another scale, say
