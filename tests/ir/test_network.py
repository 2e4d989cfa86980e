"""The graph: its types, its runs, its text."""

import dataclasses
import tracemalloc

import numpy as np
import pytest

from codegen.ir import (
    Add,
    Argmax,
    AvgPool,
    Conv,
    DorefaWeights,
    Flatten,
    IntegerNetwork,
    IrError,
    Linear,
    MaxPool,
    Node,
    Op,
    Requantise,
    TensorType,
)

_ONES = DorefaWeights(np.ones((4, 3, 3, 2), int), 1)


def test_trace_follows_the_graph_and_keeps_to_the_types(network: IntegerNetwork, images: np.ndarray) -> None:
    trace = network.trace(images)
    assert list(trace) == [node.name for node in network.nodes] == list(network.types)[1:]
    values = {"input": images.astype(np.int64), **trace}
    for node in network.nodes:
        expected = node.op.apply(*(values[name] for name in node.inputs))
        assert np.array_equal(trace[node.name], expected)
        type = network.types[node.name]
        assert trace[node.name].dtype == np.int64 and trace[node.name].shape == (9, *type.shape)
        assert type.low <= trace[node.name].min() and trace[node.name].max() <= type.high
    assert np.array_equal(network.run(images), trace["class"])
    assert len(np.unique(trace["fc"])) > 3  # not a network whose numbers would hide a mistake


def test_batches_change_nothing(network: IntegerNetwork) -> None:
    elements = sum(type.elements for type in network.types.values())
    count = (1 << 24) // elements + 2  # the second batch holds two images
    images = np.random.default_rng(0).integers(0, 16, (count, 8, 8, 1), dtype=np.uint8)
    results = network.run(images)
    assert results.shape == (count,) and results.dtype == np.int64
    assert np.array_equal(results[-3:], network.run(images[-3:]))
    assert np.array_equal(network.trace(images)["fc"][-3:], network.trace(images[-3:])["fc"])


def test_values_that_nobody_reads_any_more_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a chain of 40 flattened copies of a large image two are in memory at a time."""
    nodes = tuple(Node(f"n{k}", MaxPool((1, 1), (1, 1)), (f"n{k - 1}" if k else "input",)) for k in range(40))
    network = IntegerNetwork("long", TensorType((512, 512, 1), 0, 255), nodes)
    images = np.zeros((1, 512, 512, 1), np.uint8)
    monkeypatch.setattr(MaxPool, "apply", lambda self, maps: maps + 0)
    tracemalloc.start()
    try:
        network.run(images)
        assert tracemalloc.get_traced_memory()[1] < 6 * 8 * 512 * 512
    finally:
        tracemalloc.stop()


def test_what_an_image_may_ask_for_is_limited() -> None:
    pool = MaxPool((1, 1), (1, 1))
    nodes = tuple(Node(f"n{k}", pool, (f"n{k - 1}" if k else "input",)) for k in range(9))
    with pytest.raises(
        IrError, match=r"together must have at most 1,073,741,824 elements, not 1,342,177,280"
    ):
        IntegerNetwork("large", TensorType((4096, 4096, 8), 0, 1), nodes)
    conv = Conv(DorefaWeights(np.zeros((16, 1024, 1024, 1), np.uint8), 1), accumulator_bits=22)
    image = TensorType((2048, 2048, 1), 0, 1)
    with pytest.raises(IrError, match=r"at most 4,398,046,511,104 multiply-accumulates an image, not 17,"):
        IntegerNetwork("slow", image, (Node("conv", conv, ("input",)),))


def test_no_images_give_no_results(network: IntegerNetwork) -> None:
    trace = network.trace(np.zeros((0, 8, 8, 1), np.uint8))
    assert {name: array.shape for name, array in trace.items()} == {
        name: (0, *type.shape) for name, type in network.types.items() if name != "input"
    }


def test_any_integer_dtype_is_read(network: IntegerNetwork, images: np.ndarray) -> None:
    """Law: Activations are unsigned codes."""
    for dtype in (np.int8, np.uint16, np.int64):
        assert np.array_equal(network.run(images.astype(dtype)), network.run(images))
    assert np.array_equal(network.run(images.tolist()), network.run(images))


def test_macs_are_summed_over_layers(network: IntegerNetwork) -> None:
    assert network.macs == 8 * 8 * 4 * 9 + 4 * 4 * 4 * 2 * 9 + 3 * 16


def test_networks_are_equal_by_value(network: IntegerNetwork) -> None:
    nodes = tuple(dataclasses.replace(node, op=dataclasses.replace(node.op)) for node in network.nodes)
    twin = dataclasses.replace(network, nodes=nodes)
    assert network == twin and hash(network) == hash(twin)
    for change in ({"provenance": None}, {"nodes": nodes[:-1]}, {"name": "other"}):
        assert network != dataclasses.replace(network, **change)


def test_types_cannot_be_changed(network: IntegerNetwork) -> None:
    with pytest.raises(TypeError):
        network.types["input"] = TensorType((1,), 0, 1)  # type: ignore[index]


def test_a_network_may_read_a_vector() -> None:
    weights = DorefaWeights(np.array([[0, 3], [3, 0]]), 2)
    network = IntegerNetwork("vector", TensorType((2,), 0, 3), (Node("fc", Linear(weights, 5), ("input",)),))
    assert network.run([[1, 2]]).tolist() == [[3, -3]]


@pytest.mark.parametrize(
    ("op", "text"),
    [
        (Conv(_ONES, (2, 1), (0, 1), 2, accumulator_bits=9), "conv 3x3 stride 2x1 padding 0x1 groups 2"),
        (Conv(_ONES, accumulator_bits=9), "conv 3x3, 1-bit weights, 9-bit sums"),
        (Linear(DorefaWeights(np.zeros((3, 7), int), 8), 12), "linear 7 to 3, 8-bit weights, 12-bit sums"),
        (Requantise(np.array([3, 4]), np.array(-9), 4, 2, 2), "requantise per channel, d = 15*2^2"),
        (Requantise(np.array(3), np.array(-9), 1, 0, 2), "requantise per layer, d = 1*2^0"),
        (MaxPool((3, 2), (2, 2), (1, 0)), "max pool 3x2 stride 2x2 padding 1x0"),
        (AvgPool((3, 2), (1, 1)), "avg pool 3x2"),
        (Add(), "add"),
        (Flatten(), "flatten"),
        (Argmax(), "argmax"),
    ],
)
def test_operations_in_words(op: Op, text: str) -> None:
    assert op.describe().startswith(text)
