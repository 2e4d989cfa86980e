"""The teacher: activations on the quantisers' grid, or off it in its float form."""

import pytest
import torch

from model.networks import topology
from model.recipe import Bits, Network
from model.teacher import Teacher

CODES = torch.randint(0, 16, (32, 1, 8, 8), generator=torch.Generator().manual_seed(0)).double()


def teacher(activations: int = 2) -> Teacher:
    layers = topology(Network.DIGITS, Bits(weights=2, edge_weights=8, activations=activations, input=4))
    return Teacher(layers, torch.Generator().manual_seed(1))


def test_activations_are_steps_of_the_code() -> None:
    conv = teacher().convs[0]
    steps = conv.activate(conv.target((CODES / 15).float(), True), True) * 3
    assert torch.equal(steps, steps.round())
    assert steps.unique().tolist() == [0, 1, 2, 3]


def test_the_float_form_has_neither_quantiser() -> None:
    network = teacher()
    quantised = network(CODES)
    network.quantised = False
    assert len(network.convs[0].activate(network.targets(CODES)[0], False).unique()) > 100
    assert not torch.equal(network(CODES), quantised)


def test_the_layers_have_the_targets_of_their_outputs() -> None:
    shapes = [tuple(target.shape) for target in teacher().targets(CODES)]
    assert shapes == [(32, 8, 6, 6), (32, 16, 4, 4), (32, 10)]


@pytest.mark.parametrize("activations", [1, 4])
def test_pooling_before_the_quantiser_would_be_the_same(activations: int) -> None:
    network = teacher(activations)
    conv, target = network.convs[1], network.targets(CODES)[1]
    first = torch.nn.functional.max_pool2d(target, 2)
    grid = 2**activations - 1
    assert torch.equal(conv.activate(target, True), (first.clamp(0, 1) * grid).round() / grid)


def test_the_first_weights_depend_on_the_generator_alone() -> None:
    torch.manual_seed(99)
    one, same = teacher(), teacher()
    assert torch.equal(one.convs[0].weight, same.convs[0].weight)
    assert torch.equal(one.classifier.weight, same.classifier.weight)
