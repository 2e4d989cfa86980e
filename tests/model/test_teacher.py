"""The teacher: activations on the quantisers' grid, or off it in its float form."""

import pytest
import torch

from model.networks import topology
from model.recipe import Architecture, Bits, Network
from model.teacher import Teacher

from .small import images

LAYERS = {
    bits: topology(Network(Architecture.DIGITS), Bits(weights=2, edge_weights=8, activations=bits, input=4))
    for bits in (1, 2, 4)
}
CODES = images(LAYERS[2], 32)


def teacher(activations: int = 2) -> Teacher:
    return Teacher(LAYERS[activations], torch.Generator().manual_seed(1))


def test_activations_are_codes() -> None:
    steps = teacher().layer("conv1")(CODES)
    assert steps.unique().tolist() == [0, 1, 2, 3]


def test_sums_are_those_of_weights_and_activations_in_units() -> None:
    network = teacher()
    layer = network.layer("fc")
    x, resume = network.pause(CODES, "fc")
    largest = layer.weight.tanh().abs().max()
    weights = 2 * ((layer.weight.tanh() / (2 * largest) + 0.5) * 255).round() / 255 - 1
    torch.testing.assert_close(resume(layer(x)), x / 3 @ weights.T)


def test_the_float_form_has_neither_quantiser() -> None:
    network = teacher()
    quantised = network(CODES)
    network.set_quantised(False)
    assert len(network.layer("conv1")(CODES).unique()) > 100
    assert not torch.equal(network(CODES), quantised)
    network.set_quantised(True)
    assert network.layer("conv1")(CODES).unique().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("activations", [1, 4])
def test_pooling_before_the_quantiser_would_be_the_same(activations: int) -> None:
    layer = teacher(activations).layer("conv2")
    target = layer.target(teacher(activations).pause(CODES, "conv2")[0])
    first = torch.nn.functional.max_pool2d(target, 2)
    pooled = torch.nn.functional.max_pool2d(layer.activate(target), 2)
    assert torch.equal(pooled, layer.activate(first))


def test_the_first_weights_depend_on_the_generator_alone() -> None:
    torch.manual_seed(99)
    one, same = teacher(), teacher()
    for layer in LAYERS[2].layers:
        assert torch.equal(one.layer(layer.name).weight, same.layer(layer.name).weight)
