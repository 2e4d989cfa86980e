"""How networks compute: stopping at a layer and going on is the same as not stopping."""

import pytest
import torch
from torch import nn

from model.layered import Layered, Walk
from model.networks import GlobalAverage, Layer, topology
from model.recipe import Architecture, Network

from .small import BITS, SMALL, images, teacher_of


@pytest.mark.parametrize("network", SMALL)
def test_going_on_from_any_layer_gives_the_same_logits(network: Network) -> None:
    layers = topology(network, BITS)
    teacher, codes = teacher_of(layers), images(layers, 3)
    expected = teacher(codes)
    assert expected.shape == (3, network.classes)
    for layer in layers.layers:
        x, resume = teacher.pause(codes, layer.name)
        assert torch.equal(resume(teacher.layers[layer.name](x)), expected), layer.name


@pytest.mark.parametrize("network", SMALL)
def test_another_output_of_any_layer_gives_other_logits(network: Network) -> None:
    layers = topology(network, BITS)
    teacher, codes = teacher_of(layers), images(layers, 20)
    for layer in layers.layers:
        x, resume = teacher.pause(codes, layer.name)
        output = teacher.layers[layer.name](x)
        other = (15 - output) if layer.activation_bits else -output
        assert not torch.equal(resume(other), teacher(codes)), layer.name


class Constant(nn.Module):
    """Gives every channel the code it was made with."""

    def __init__(self, layer: Layer, code: float) -> None:
        super().__init__()
        self.layer, self.code = layer, code

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = (len(x), self.layer.outputs, *([3, 3] if x.dim() == 4 else []))
        return torch.full(shape, self.code)


@pytest.mark.parametrize(("code", "total"), [(3.0, 6.0), (7.0, 14.0), (8.0, 15.0), (15.0, 15.0)])
def test_a_residual_sum_is_cut_off_at_the_highest_code(code: float, total: float) -> None:
    layers = topology(Network(Architecture.RESNET18, width=1 / 64, size=32), BITS)
    network = Layered(layers, lambda layer: Constant(layer, code))
    seen: dict[str, torch.Tensor] = {}
    network.compute(images(layers, 2), lambda layer, x: network.layers[layer.name](x), seen.__setitem__)
    assert seen["block2a_add"].unique().item() == 2 * code
    assert seen["block2a_requantise"].unique().item() == total
    assert seen["block1a_requantise"].unique().item() == total


def test_the_mean_of_a_map_is_rounded_halves_up_unless_it_is_in_floats() -> None:
    part = GlobalAverage("mean", 2)
    codes = torch.tensor([[1.0, 2, 2, 5], [1, 2, 2, 6], [1, 1, 1, 2], [0, 0, 0, 1]]).reshape(1, 4, 2, 2)
    rounded = Walk(quantised=True, watch=None).average(part, codes)
    assert rounded.flatten().tolist() == [3, 3, 1, 0]
    exact = Walk(quantised=False, watch=None).average(part, codes)
    assert exact.flatten().tolist() == [2.5, 2.75, 1.25, 0.25]
