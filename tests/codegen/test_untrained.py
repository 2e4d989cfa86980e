"""Untrained networks of the great recipes: their geometry, and that nothing in them is dead or saturated."""

import hashlib
import math
from functools import cache

import numpy as np
import pytest

from codegen import untrained as module
from codegen.ir import Conv, IntegerNetwork, Linear, MaxPool, Requantise, TensorType
from codegen.untrained import definition, has_photographs, photographs, recipes, untrained
from model import networks as topologies
from model.recipe import load

CALIBRATED = 16
RECIPES = ["vgg_small_w1a1", "alexnet_w4a4", "alexnet_w8a8"]


@cache
def network(name: str) -> IntegerNetwork:
    made = untrained(name)
    assert made is not None and made.name == name
    return made


@cache
def classified(name: str, calibrating: bool) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """For the crops that the scales were set on, or for as many others: the codes of every requantisation, as
    rows of channels, and the sums of the classes."""
    images = photographs(network(name).input.shape, 2 * CALIBRATED)
    trace = network(name).trace(images[:CALIBRATED] if calibrating else images[CALIBRATED:])
    nodes = [node.name for node in network(name).nodes if isinstance(node.op, Requantise)]
    codes = {node: trace[node].reshape(-1, trace[node].shape[-1]).astype(np.uint8) for node in nodes}
    return codes, trace[network(name).nodes[-2].name]


def layers(name: str) -> list[tuple[object, ...]]:
    """Each layer in the words of the literature."""
    told: list[tuple[object, ...]] = []
    for node in network(name).nodes:
        match node.op:
            case Conv(weights, (stride, _), (padding, _), groups):
                assert groups == 1 and node.op.kernel[0] == node.op.kernel[1]
                told.append(("conv", weights.shape[0], node.op.kernel[0], stride, padding))
            case MaxPool((kernel, _), (stride, _), padding):
                assert padding == (0, 0)
                told.append(("pool", kernel, stride))
            case Linear(weights):
                told.append(("fc", *weights.shape[::-1]))
    return told


@pytest.mark.parametrize("name", ["alexnet_w4a4", "alexnet_w8a8"])
def test_alexnet_is_torchvisions(name: str) -> None:
    assert layers(name) == [
        ("conv", 64, 11, 4, 2),
        ("pool", 3, 2),
        ("conv", 192, 5, 1, 2),
        ("pool", 3, 2),
        ("conv", 384, 3, 1, 1),
        ("conv", 256, 3, 1, 1),
        ("conv", 256, 3, 1, 1),
        ("pool", 3, 2),
        ("fc", 9216, 4096),
        ("fc", 4096, 4096),
        ("fc", 4096, 1000),
    ]
    assert network(name).input == TensorType((224, 224, 3), 0, 255)
    assert network(name).macs == 714_188_480
    assert weights_of(name) == 61_100_840 - 10_344  # torchvision's parameters, without the biases


@pytest.mark.parametrize("name", RECIPES)
def test_what_training_makes_has_the_same_layers(name: str) -> None:
    recipe = load(name)
    topology = topologies.topology(recipe.network, recipe.bits)
    made = {node.name: node.op for node in network(name).nodes}
    assert network(name).input.shape == topology.image
    for layer in topology.layers:
        op = made[layer.name]
        assert isinstance(op, Conv | Linear)
        outputs, inputs, *kernel = layer.weight_shape
        assert op.weights.shape == (outputs, *kernel, inputs)
        assert op.weights.bits == layer.weight_bits
        if layer.activation_bits is not None:
            assert made[f"{layer.name}_requantise"].bits == layer.activation_bits


def test_vgg_small_is_that_of_the_binary_literature() -> None:
    convolutions = [("conv", channels, 3, 1, 1) for channels in (128, 128, 256, 256, 512, 512)]
    pool = ("pool", 2, 2)
    assert layers("vgg_small_w1a1") == [
        *(*convolutions[:2], pool),
        *(*convolutions[2:4], pool),
        *(*convolutions[4:], pool),
        ("fc", 8192, 10),
    ]
    assert network("vgg_small_w1a1").input == TensorType((32, 32, 3), 0, 255)
    assert network("vgg_small_w1a1").macs == 607_600_640
    assert weights_of("vgg_small_w1a1") == 4_656_512


def weights_of(name: str) -> int:
    return sum(op.weights.codes.size for op in weighted(name))


def weighted(name: str) -> list[Conv | Linear]:
    return [node.op for node in network(name).nodes if isinstance(node.op, Conv | Linear)]


@pytest.mark.parametrize("name", RECIPES)
def test_widths_are_those_of_the_name_but_8_bits_at_both_ends(name: str) -> None:
    weight_bits, code_bits = int(name[-3]), int(name[-1])
    ends = [op.weights.bits for op in weighted(name)]
    assert ends == [8, *[weight_bits] * (len(ends) - 2), 8]
    scales = [node.op for node in network(name).nodes if isinstance(node.op, Requantise)]
    assert [scale.weight_bits for scale in scales] == ends[:-1]
    assert {scale.bits for scale in scales} == {code_bits}


@pytest.mark.parametrize("name", RECIPES)
def test_weights_of_a_channel_cancel_and_lean_to_neither_side(name: str) -> None:
    for op in weighted(name):
        codes, top = op.weights.codes, (1 << op.weights.bits) - 1
        rows = op.weights.values.reshape(op.weights.shape[0], -1)
        assert np.abs(rows.sum(axis=1)).max() <= top
        half = rows[:, : rows.shape[1] // 2]
        assert abs(half.mean()) < 5 * half.std() / math.sqrt(half.size)
        assert np.unique(codes).size > 0.75 * top and len({row.tobytes() for row in rows}) == len(rows)


@pytest.mark.parametrize("name", RECIPES)
def test_no_channel_is_dead_or_saturated_on_the_calibrating_photographs(name: str) -> None:
    for node, codes in classified(name, calibrating=True)[0].items():
        top = network(name).types[node].high
        assert codes.max(axis=0).min() > 0, f"{node} has dead channels"
        assert codes.min(axis=0).max() < top, f"{node} has saturated channels"


@pytest.mark.parametrize("name", RECIPES)
def test_codes_are_well_spread_on_other_photographs(name: str) -> None:
    for node, codes in classified(name, calibrating=False)[0].items():
        top = network(name).types[node].high
        zeros, tops = (codes == 0).mean(axis=0), (codes == top).mean(axis=0)
        assert 0.15 < zeros.mean() < 0.55, f"{node}: {zeros.mean()} of the codes are 0"
        assert tops.mean() < (0.55 if top == 1 else 0.05), f"{node}: {tops.mean()} of the codes are {top}"
        assert np.array_equal(np.unique(codes), np.arange(top + 1)), f"{node} does not use every code"
        if node.startswith("conv"):
            assert zeros.max() < 0.75 and tops.max() < 0.75, f"{node} has a channel that hardly moves"


@pytest.mark.parametrize("name", RECIPES)
def test_photographs_are_told_apart(name: str) -> None:
    _, sums = classified(name, calibrating=False)
    assert len({row.tobytes() for row in sums}) == CALIBRATED
    assert len(set(sums.argmax(axis=1)[:8].tolist())) >= 3


def test_the_same_name_gives_the_same_network() -> None:
    first, second = (untrained("vgg_small_w1a1") for _ in range(2))
    assert first == second and first is not None
    digest = hashlib.sha256()
    for node in first.nodes:
        match node.op:
            case Conv(weights) | Linear(weights):
                digest.update(weights.codes.tobytes())
            case Requantise(alpha, beta):
                digest.update(alpha.astype("<i8").tobytes() + beta.astype("<i8").tobytes())
    assert digest.hexdigest() == "53c484d7e43099eaaa1ca268a2a0b19709960d918e089845952135090a074e3e"


@pytest.mark.parametrize(
    "name",
    [
        "alexnet",
        "alexnet_w9a8",
        "alexnet_w0a4",
        "alexnet_w4",
        "alexnet_w4a4_layer",
        "resnet_w4a4",
        "_w4a4",
        "",
    ],
)
def test_other_names_are_no_recipes(name: str) -> None:
    assert name not in recipes() and untrained(name) is None


def test_every_recipe_that_is_named_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int, int]] = []

    class Maker:
        def __init__(self, architecture: object, weight_bits: int, code_bits: int) -> None:
            asked.append((id(architecture), weight_bits, code_bits))

        def network(self, name: str) -> str:
            return name

    monkeypatch.setattr(module, "_Maker", Maker)
    assert [untrained(name) for name in recipes()] == recipes()
    assert len(set(asked)) == len(recipes()) == 192 and set(RECIPES) < set(recipes())


def test_a_definition_tells_recipes_and_packages_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    every = {definition(name) for name in recipes()}
    assert len(every) == 192 and all(len(digest) == 64 for digest in every)
    assert definition("alexnet_w8a8") in every
    monkeypatch.setattr("importlib.metadata.version", lambda package: "0")
    assert definition("alexnet_w8a8") not in every


@pytest.mark.parametrize("shape", [(32, 32, 3), (20, 50, 3)])
def test_a_thousand_photographs_are_all_different(shape: tuple[int, ...]) -> None:
    images = photographs(shape, 1000)
    assert images.shape == (1000, *shape) and images.dtype == np.uint8
    assert len({image.tobytes() for image in images}) == 1000
    assert images.std(axis=(1, 2, 3)).min() > 5, "a crop shows next to nothing"


@pytest.mark.parametrize("shape", [(16, 16, 3), (224, 224, 3), (384, 384, 3)])
def test_fewer_photographs_are_the_first_of_more(shape: tuple[int, ...]) -> None:
    images = photographs(shape, 20)
    assert all(np.array_equal(photographs(shape, count), images[:count]) for count in (1, 2, 7, 19))


def test_a_photograph_that_is_not_shrunk_is_a_piece_of_the_original() -> None:
    from sklearn.datasets import load_sample_images

    original = load_sample_images().images[0]
    crop = photographs((384, 384, 3), 1)[0]
    corners = [(top, left) for top in range(44) for left in range(257)]
    assert any(np.array_equal(original[t : t + 384, l : l + 384], crop) for t, l in corners)  # noqa: E741


@pytest.mark.parametrize(
    ("shape", "low", "high", "shown"),
    [
        ((16, 16, 3), 0, 255, True),
        ((384, 384, 3), 0, 255, True),
        ((15, 16, 3), 0, 255, False),
        ((16, 385, 3), 0, 255, False),
        ((32, 32, 1), 0, 255, False),
        ((32, 32, 3), 0, 15, False),
        ((32, 32, 3), -128, 127, False),
        ((768,), 0, 255, False),
    ],
)
def test_photographs_are_for_networks_that_read_them(
    shape: tuple[int, ...], low: int, high: int, shown: bool
) -> None:
    assert has_photographs(TensorType(shape, low, high)) == shown


def test_small_photographs_are_means_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    ramp = np.arange(427 * 640 * 3).reshape(427, 640, 3)
    monkeypatch.setattr(module, "_pictures", lambda: [(ramp % 251).astype(np.uint8)] * 2)
    for place, image in zip(module._places(64, 64), photographs((64, 64, 3), 9), strict=False):
        scale = place.scale
        assert 3 <= scale <= 6
        block = (ramp % 251)[place.top + scale : place.top + 2 * scale, place.left : place.left + scale, 2]
        assert image[1, 0, 2] == math.floor(block.mean())
