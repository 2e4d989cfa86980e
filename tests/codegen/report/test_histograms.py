"""Histograms count what the golden model gives, each value once."""

import numpy as np
import pytest

from codegen.ir import IntegerNetwork, TensorType
from codegen.report import histograms as module
from codegen.report.histograms import histogram, histograms, traced
from codegen.report.schema import Histogram
from tests.networks import Chain, digits, random_chain

from .reports import plan_of


def random_images(network: IntegerNetwork, count: int) -> np.ndarray:
    random, type = np.random.default_rng(5), network.input
    return random.integers(type.low, type.high + 1, (count, *type.shape)).astype(np.uint8)


@pytest.mark.parametrize("seed", range(8))
def test_every_value_is_counted_once(seed: int) -> None:
    network = random_chain(seed)
    plan, images = plan_of(network, 20), random_images(network, 9)
    told = histograms(plan, network, traced(network, images, 9))
    assert told.images == 9 and len(told.layers) == len(plan.layers)
    values = {"input": images.astype(np.int64)} | network.trace(images)
    counted = [(told.input, "input")]
    for row, layer in zip(told.layers, plan.layers, strict=True):
        assert row.name == layer.stage.name
        weighted = row.name in values and row.accumulators is not None
        assert weighted == (layer.lanes > 0)
        if weighted:
            counted.append((row.accumulators, row.name))
        if row.codes is not None:
            counted.append((row.codes, layer.stage.output))
        assert (row.codes is None) == (weighted and layer.stage.requantise is None)
    for found, node in counted:
        _is_histogram_of(found, values[node])


def _is_histogram_of(found: Histogram, values: np.ndarray) -> None:
    low, high, width, counts = found.low, found.high, found.bin_width, found.counts
    assert low <= values.min() and values.max() <= high
    for place, count in enumerate(counts):
        first = low + place * width
        assert first <= high and count == np.count_nonzero((values >= first) & (values < first + width))
    assert sum(counts) == values.size


@pytest.mark.parametrize(
    ("low", "high", "values", "expected"),
    [
        (0, 3, [3, 0, 3], (0, 3, 1, [1, 0, 0, 2])),
        (-1, 1, [0, 0], (-1, 1, 1, [0, 2, 0])),
        (0, 255, [255], (0, 255, 1, [0] * 255 + [1])),
        (0, 256, [7, 9], (7, 9, 1, [1, 0, 1])),
        (-9000, 9000, [-64, 63, 62], (-64, 63, 2, [1, *[0] * 62, 2])),
        (-9000, 9000, [-64, 64], (-64, 64, 3, [1, *[0] * 41, 1])),
        (-9000, 9000, [5, 5], (5, 5, 1, [2])),
    ],
)
def test_bins(low: int, high: int, values: list[int], expected: tuple[int, int, int, list[int]]) -> None:
    told = histogram(np.array(values, np.int64), TensorType((len(values),), low, high))
    assert (told.low, told.high, told.bin_width, [*told.counts]) == expected
    assert all(type(count) is int for count in told.counts)


def test_accumulators_of_a_layer_with_a_dot_in_its_name() -> None:
    chain = Chain(0, (4, 4, 2), 4).conv("body.0", 3).requantise("body.1", 2).flatten("body.2")
    network = chain.linear("head.fc", 4).argmax().network()
    images = random_images(network, 3)
    told = histograms(plan_of(network, 10), network, traced(network, images, 3))
    assert [row.name for row in told.layers] == ["body_0", "head_fc"]
    trace = network.trace(images)
    _is_histogram_of(told.layers[0].accumulators, trace["body.0"])
    _is_histogram_of(told.layers[0].codes, trace["body.1"])
    _is_histogram_of(told.layers[1].accumulators, trace["head.fc"])


@pytest.mark.parametrize(("limit", "least", "count"), [(3, 2, 3), (1, 2, 2), (9, 2, 5), (1, 9, 5)])
def test_as_many_images_as_fit(limit: int, least: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = digits()
    elements = sum(type.elements for type in network.types.values())
    monkeypatch.setattr(module, "_ELEMENTS", limit * elements + elements // 2)
    images = random_images(network, 5)
    values = traced(network, images, least)
    assert {name: len(one) for name, one in values.items()} == dict.fromkeys(network.types, count)
    assert np.array_equal(values["input"], images[:count])
    assert np.array_equal(values["fc"], network.trace(images[:count])["fc"])
