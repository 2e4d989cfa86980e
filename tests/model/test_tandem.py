"""Stage 1 against batch norm and least squares computed otherwise; stage 2 trains its layer and no other."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from codegen.ir import UserError
from model.networks import Topology, topology
from model.quantise import dorefa_activation, odd_weights
from model.recipe import Bits, Network, Scale, Target
from model.student import Student
from model.tandem import imitation, initialise, latent_weights, least_squares
from model.teacher import Teacher

LAYERS = topology(Network.DIGITS, Bits(weights=4, edge_weights=8, activations=4, input=4))


def teacher_of(layers: Topology, seed: int = 0) -> Teacher:
    """An untrained teacher with batch norms as training leaves them: any statistics, some gains negative."""
    random = torch.Generator().manual_seed(seed)
    teacher = Teacher(layers, random)
    with torch.no_grad():
        teacher.train()(images(100))
        for conv in teacher.convs:
            conv.norm.weight.copy_(torch.randn(conv.norm.weight.shape, generator=random))
            conv.norm.bias.copy_(torch.rand(conv.norm.bias.shape, generator=random))
    return teacher.eval().requires_grad_(False)


def images(count: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(9)
    return torch.randint(0, 16, (count, 1, 8, 8), generator=random).double()


def test_least_squares_finds_an_exact_line_for_each_channel() -> None:
    sums = torch.randn(20, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    slopes, offsets = torch.tensor([2.0, -1.0, 0.5]).double(), torch.tensor([0.0, 3.0, -4.0]).double()
    slope, offset = least_squares(sums, sums * slopes.view(-1, 1, 1) + offsets.view(-1, 1, 1), Scale.CHANNEL)
    torch.testing.assert_close(slope, slopes)
    torch.testing.assert_close(offset, offsets)


def test_least_squares_for_a_layer_is_the_fit_through_all_points() -> None:
    random = torch.Generator().manual_seed(2)
    sums, target = (torch.randn(20, 3, 2, 2, dtype=torch.float64, generator=random) for _ in range(2))
    slope, offset = least_squares(sums, target, Scale.LAYER)
    expected = np.polyfit(sums.flatten().numpy(), target.flatten().numpy(), 1)
    assert (slope.shape, offset.shape) == ((), ())
    np.testing.assert_allclose([float(slope), float(offset)], expected, rtol=1e-12)


def test_a_channel_with_constant_sums_gets_the_mean() -> None:
    target = torch.arange(6, dtype=torch.float64).reshape(3, 2, 1, 1)
    slope, offset = least_squares(torch.full((3, 2, 1, 1), 7.0, dtype=torch.float64), target, Scale.CHANNEL)
    assert slope.tolist() == [0, 0]
    assert offset.tolist() == [2, 3]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_latent_weights_have_the_codes_of_the_master(bits: int) -> None:
    master = torch.randn(200, generator=torch.Generator().manual_seed(bits))
    same, inverted = (odd_weights(latent_weights(master, torch.tensor(g)), bits) for g in (1.0, -1.0))
    assert torch.equal(same, odd_weights(master.double(), bits))
    assert torch.equal(inverted, -same)


def test_a_scale_per_channel_reproduces_batch_norm() -> None:
    teacher, codes = teacher_of(LAYERS), images(100)
    student = Student(LAYERS, Scale.CHANNEL, fraction=20)
    initialise(student, teacher, codes, Scale.CHANNEL)
    conv, norm = student.convs[0], teacher.convs[0].norm
    assert (norm.weight < 0).any()
    assert norm.running_var is not None
    assert norm.running_mean is not None
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    # T = gain * (acc / (255 * 15) - mean) + bias, and the code is 15 T
    torch.testing.assert_close(conv.alpha() / conv.divisor, gain.abs() / 255, rtol=1e-4, atol=0.0)
    shift = 15 * (norm.bias.double() - gain * norm.running_mean.double())
    torch.testing.assert_close(conv.beta() / conv.divisor, shift, rtol=1e-4, atol=1e-4)
    inverted = norm.weight < 0
    originals = odd_weights(teacher.convs[0].weight.double(), 8)
    assert torch.equal(conv.weights()[inverted], -originals[inverted])
    assert torch.equal(conv.weights()[~inverted], originals[~inverted])
    wanted = dorefa_activation(teacher.targets(codes)[0].double(), 4) * 15
    assert (conv(codes) != wanted).double().mean() < 1e-3  # float32 batch norm at the edge of a step


def test_a_scale_per_layer_is_one_positive_integer_and_leaves_the_gain_to_the_weights() -> None:
    teacher = teacher_of(LAYERS)
    student = Student(LAYERS, Scale.LAYER, fraction=8)
    initialise(student, teacher, images(100), Scale.LAYER)
    for conv, master in zip(student.convs, teacher.convs, strict=True):
        assert (conv.alpha().shape, conv.beta().shape) == ((), ())
        assert conv.alpha() >= 1
        assert conv.alpha() == conv.alpha().round()
        norm = master.norm
        assert norm.running_var is not None
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        folded = torch.tanh(master.weight) * gain.view(-1, 1, 1, 1)
        top = 2**conv.layer.weight_bits - 1
        wanted = (folded / folded.abs().max() * top).double()
        assert ((conv.weights() - wanted).abs() <= 1 + 1e-4).all()  # to the nearest odd integer


@pytest.mark.parametrize("target", list(Target))
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_only_the_layer_in_turn_learns(depth: int, target: Target) -> None:
    teacher, codes = teacher_of(LAYERS), images(64)
    student = Student(LAYERS, Scale.LAYER, fraction=8)
    initialise(student, teacher, codes, Scale.LAYER)
    value = imitation(student, teacher, depth, target)(codes, torch.zeros(64))
    value.backward()
    layers = [*student.convs, student.classifier]
    for index, layer in enumerate(layers):
        for name, parameter in layer.named_parameters():
            assert (parameter.grad is not None) == (index == depth), f"{index} {name}"
            assert parameter.grad is None or parameter.grad.abs().sum() > 0, f"{index} {name}"


def test_the_quantised_target_is_reached_exactly_and_then_leaves_the_layer_alone() -> None:
    teacher, codes = teacher_of(LAYERS), images(64)
    student = Student(LAYERS, Scale.CHANNEL, fraction=20)
    initialise(student, teacher, codes, Scale.CHANNEL)
    quantised, clipped = (
        imitation(student, teacher, 0, target)(codes, torch.zeros(64)).item()
        for target in (Target.QUANTISED, Target.CLIPPED)
    )
    assert quantised < 1e-5 < clipped


def test_a_layer_too_wide_for_exact_sums_is_refused_by_name() -> None:
    wide = replace(LAYERS, classifier=replace(LAYERS.classifier, inputs=2**50))
    with pytest.raises(UserError, match=r"^layer fc must keep its sums below 2\^53"):
        Student(wide, Scale.LAYER, 8)
