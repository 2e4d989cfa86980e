"""Stage 1 against batch norm and least squares computed otherwise; stage 2 trains its layer and no other."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from codegen.errors import UserError
from model.networks import topology
from model.quantise import dorefa_activation, odd_weights
from model.recipe import Architecture, Bits, Feed, Method, Network, Scale, Start, Target
from model.recipe import Student as Options
from model.student import Hidden, Student
from model.tandem import Imitation, Labels, Moments, Together, initialise, latent_weights
from model.teacher import Teacher

from .small import LAYERS, images, options, teacher_of


def hidden(student: Student, name: str) -> Hidden:
    layer = student.layer(name)
    assert isinstance(layer, Hidden)
    return layer


def student_of(teacher: Teacher, choice: Options, count: int = 100) -> Student:
    student = Student(teacher.topology, choice)
    batches = list(images(teacher.topology, count).split(40))
    initialise(student, teacher, batches, choice, torch.Generator().manual_seed(3))
    return student


def fitted(sums: torch.Tensor, target: torch.Tensor, scale: Scale) -> Moments:
    """Moments of both, counted in uneven pieces."""
    moments = Moments(scale)
    for some, wanted in zip(sums.split([7, 13]), target.split([7, 13]), strict=True):
        moments.add(some, wanted)
    return moments


def test_least_squares_finds_an_exact_line_for_each_channel() -> None:
    sums = torch.randn(20, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    slopes, offsets = torch.tensor([2.0, -1.0, 0.5]).double(), torch.tensor([0.0, 3.0, -4.0]).double()
    target = sums * slopes.view(-1, 1, 1) + offsets.view(-1, 1, 1)
    slope, offset = fitted(sums, target, Scale.CHANNEL).line(offset=True)
    torch.testing.assert_close(slope, slopes)
    torch.testing.assert_close(offset, offsets)


def test_least_squares_for_a_layer_is_the_fit_through_all_points() -> None:
    random = torch.Generator().manual_seed(2)
    sums, target = (torch.randn(20, 3, dtype=torch.float64, generator=random) for _ in range(2))
    slope, offset = fitted(sums, target, Scale.LAYER).line(offset=True)
    expected = np.polyfit(sums.flatten().numpy(), target.flatten().numpy(), 1)
    assert (slope.shape, offset.shape) == ((), ())
    np.testing.assert_allclose([float(slope), float(offset)], expected, rtol=1e-10)


def test_without_an_offset_the_line_goes_through_zero() -> None:
    random = torch.Generator().manual_seed(2)
    sums, target = (torch.rand(20, 3, dtype=torch.float64, generator=random) for _ in range(2))
    slope, offset = fitted(sums, target, Scale.CHANNEL).line(offset=False)
    torch.testing.assert_close(slope, (sums * target).sum(0) / sums.square().sum(0))
    assert offset.tolist() == [0, 0, 0]


def test_a_channel_with_constant_sums_gets_the_mean() -> None:
    target = torch.arange(60, dtype=torch.float64).reshape(20, 3) % 3 + torch.arange(20).reshape(20, 1)
    sums = torch.full((20, 3), 0.1, dtype=torch.float64) * 3e5
    slope, offset = fitted(sums, target, Scale.CHANNEL).line(offset=True)
    assert slope.tolist() == [0, 0, 0]
    torch.testing.assert_close(offset, target.mean(0))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_latent_weights_have_the_codes_of_the_master(bits: int) -> None:
    master = torch.randn(200, generator=torch.Generator().manual_seed(bits))
    same, inverted = (odd_weights(latent_weights(master, torch.tensor(g)), bits) for g in (1.0, -1.0))
    assert torch.equal(same, odd_weights(master.double(), bits))
    assert torch.equal(inverted, -same)


def test_a_scale_per_channel_reproduces_batch_norm() -> None:
    teacher, codes = teacher_of(LAYERS), images(LAYERS, 100)
    student = student_of(teacher, options(fraction=20))
    layer, master = hidden(student, "conv1"), teacher.layer("conv1")
    norm = master.norm
    assert norm is not None
    assert norm.running_var is not None
    assert norm.running_mean is not None
    assert (norm.weight < 0).any()
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    # T = gain * (acc / (255 * 15) - mean) + bias, and the code is 15 T
    torch.testing.assert_close(layer.alpha() / layer.divisor, gain.abs() / 255, rtol=1e-4, atol=0.0)
    shift = 15 * (norm.bias.double() - gain * norm.running_mean.double())
    torch.testing.assert_close(layer.beta() / layer.divisor, shift, rtol=1e-4, atol=1e-4)
    inverted, originals = norm.weight < 0, odd_weights(master.weight.double(), 8).float()
    assert torch.equal(layer.weights()[inverted], -originals[inverted])
    assert torch.equal(layer.weights()[~inverted], originals[~inverted])
    assert (layer(codes) != master(codes)).double().mean() < 1e-3  # float32 batch norm at the edge of a step


def test_every_layer_behind_it_follows_too() -> None:
    layers = topology(Network(Architecture.LENET, width=0.5, size=20), Bits(3, 5, 3, 4))
    teacher, codes = teacher_of(layers), images(layers, 50)
    student = student_of(teacher, options(fraction=20))
    assert [layer.name for layer in layers.layers] == ["conv1", "conv2", "fc1", "fc2", "fc3"]
    for layer in layers.layers[:-1]:
        own, taught = student.pause(codes, layer.name)[0], teacher.pause(codes, layer.name)[0]
        assert (own != taught).double().mean() < 0.02, layer.name
    assert (student(codes).argmax(1) == teacher(codes).argmax(1)).double().mean() > 0.95


def test_a_scale_per_layer_is_one_positive_integer_and_leaves_the_gain_to_the_weights() -> None:
    teacher = teacher_of(LAYERS)
    student = student_of(teacher, options(Scale.LAYER))
    for name in ("conv1", "conv2"):
        layer, master = hidden(student, name), teacher.layer(name)
        assert (layer.alpha().shape, layer.beta().shape) == ((), ())
        assert layer.alpha() >= 1
        assert layer.alpha() == layer.alpha().round()
        norm = master.norm
        assert norm is not None
        assert norm.running_var is not None
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        folded = torch.tanh(master.weight) * gain.view(-1, 1, 1, 1)
        top = 2**layer.layer.weight_bits - 1
        wanted = folded / folded.abs().max() * top
        assert ((layer.weights() - wanted).abs() <= 1 + 1e-4).all()  # to the nearest odd integer


def test_without_an_offset_beta_stays_zero_and_nothing_learns_it() -> None:
    student = student_of(teacher_of(LAYERS), options(offset=False))
    layer = hidden(student, "conv2")
    assert layer.beta().tolist() == [0] * 16
    assert [name for name, _ in layer.named_parameters()] == ["weight", "log_alpha"]


def test_a_random_start_knows_nothing_of_the_teacher_but_spreads_the_codes() -> None:
    one, other = (student_of(teacher_of(LAYERS, seed), options(start=Start.RANDOM)) for seed in (0, 1))
    for layer in LAYERS.layers[:-1]:
        assert torch.equal(one.layer(layer.name).weight, other.layer(layer.name).weight)
    codes = one.pause(images(LAYERS, 50), "fc")[0]
    assert 0.05 < (codes == 0).double().mean() < 0.8
    assert len(codes.unique()) == 16


def test_a_scale_that_is_not_fitted_spreads_the_sums_of_the_teachers_weights() -> None:
    teacher = teacher_of(LAYERS)
    fitted, spread = (
        student_of(teacher, options(start=start)) for start in (Start.LEAST_SQUARES, Start.SPREAD)
    )
    for layer in LAYERS.layers:
        assert torch.equal(fitted.layer(layer.name).weight, spread.layer(layer.name).weight)
    assert hidden(spread, "conv2").beta().tolist() == [0] * 16
    acc, _ = hidden(spread, "conv1").accumulate(images(LAYERS, 100))
    reach = 2 * acc.double().std((0, 2, 3), correction=0) * hidden(spread, "conv1").alpha()
    torch.testing.assert_close(
        reach / hidden(spread, "conv1").divisor, torch.full((8,), 15.0).double(), rtol=1e-2, atol=0.0
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("start", list(Start))
def test_logits_of_a_fresh_student_are_of_a_size_to_learn_from(start: Start, seed: int) -> None:
    student = student_of(teacher_of(LAYERS, seed), options(start=start))
    assert 0.1 < student.logits(images(LAYERS, 100)).std().item() < 10


def learners(student: Student) -> dict[str, bool]:
    """Which parameters got a gradient."""
    return {
        name: p.grad is not None and bool(p.grad.abs().sum() > 0) for name, p in student.named_parameters()
    }


@pytest.mark.parametrize(
    "choice",
    [
        options(Scale.LAYER, target=Target.QUANTISED),
        options(Scale.LAYER, target=Target.CLIPPED),
        options(Scale.LAYER, feed=Feed.TEACHER),
        options(Scale.LAYER, suffix=2.0),
    ],
)
@pytest.mark.parametrize("index", [0, 1, 2])
def test_only_the_layer_in_turn_learns(index: int, choice: Options) -> None:
    teacher = teacher_of(LAYERS)
    student = student_of(teacher, choice).requires_grad_(False)
    layer = LAYERS.layers[index]
    student.layer(layer.name).requires_grad_(True)
    Imitation(student, teacher, layer, choice)(images(LAYERS, 64), torch.zeros(64)).backward()
    assert learners(student) == {
        name: name.startswith(f"layers.{layer.name}.") for name, _ in student.named_parameters()
    }


@pytest.mark.parametrize("method", [Method.TOGETHER, Method.END_TO_END])
def test_all_layers_learn_at_once(method: Method) -> None:
    teacher = teacher_of(LAYERS)
    student = student_of(teacher, options(Scale.LAYER))
    loss = Together(student, teacher, options()) if method is Method.TOGETHER else Labels(student)
    loss(images(LAYERS, 64), torch.arange(64) % 10).backward()
    assert all(learners(student).values())


def test_together_each_layer_learns_what_it_learns_alone() -> None:
    teacher, codes, choice = teacher_of(LAYERS), images(LAYERS, 64), options(Scale.LAYER)
    student = student_of(teacher, choice)
    Together(student, teacher, choice)(codes, codes).backward()
    for layer in LAYERS.layers:
        module = student.layer(layer.name)
        together = [parameter.grad for parameter in module.parameters()]
        module.zero_grad()
        Imitation(student, teacher, layer, choice)(codes, codes).backward()
        for expected, parameter in zip(together, module.parameters(), strict=True):
            assert torch.equal(parameter.grad, expected), layer.name  # type: ignore[arg-type]


def test_together_is_the_sum_of_the_layers_losses() -> None:
    teacher, codes, choice = teacher_of(LAYERS), images(LAYERS, 64), options(Scale.LAYER)
    student = student_of(teacher, choice)
    labels = torch.zeros(64)
    losses = [Imitation(student, teacher, layer, choice)(codes, labels) for layer in LAYERS.layers]
    together = Together(student, teacher, choice)(codes, labels)
    assert together.item() == pytest.approx(sum(loss.item() for loss in losses))


def test_a_suffix_loss_is_nothing_for_a_student_that_equals_its_teacher_and_more_for_another() -> None:
    teacher, codes = teacher_of(LAYERS), images(LAYERS, 64)
    plain, suffix = options(fraction=20), options(fraction=20, suffix=1.0)

    def extra(student: Student) -> float:
        losses = [Imitation(student, teacher, LAYERS.layers[0], o)(codes, codes) for o in (suffix, plain)]
        return (losses[0] - losses[1]).item()

    assert extra(student_of(teacher, plain)) < 1e-4
    assert extra(student_of(teacher, replace(plain, start=Start.RANDOM))) > 1e-2


def test_feeding_from_the_teacher_differs_only_behind_the_first_layer() -> None:
    teacher, codes = teacher_of(LAYERS), images(LAYERS, 64)
    own, taught = options(Scale.LAYER), options(Scale.LAYER, feed=Feed.TEACHER)
    student = student_of(teacher, own)
    for layer, same in zip(LAYERS.layers, (True, False, False), strict=True):
        first, second = (
            Imitation(student, teacher, layer, one)(codes, codes).item() for one in (own, taught)
        )
        assert (first == second) == same


def test_the_quantised_target_is_reached_exactly_and_then_leaves_the_layer_alone() -> None:
    teacher, codes = teacher_of(LAYERS), images(LAYERS, 64)
    student = student_of(teacher, options(fraction=20))
    quantised, clipped = (
        Imitation(student, teacher, LAYERS.layers[0], options(target=target))(codes, codes).item()
        for target in (Target.QUANTISED, Target.CLIPPED)
    )
    assert quantised < 1e-5 < clipped
    target = teacher.layer("conv1").target(codes)
    by_hand = (dorefa_activation(target, 4) - target.clamp(0, 1)).square().mean()
    assert clipped == pytest.approx(float(by_hand), rel=1e-2)


def test_a_layer_too_wide_for_exact_sums_is_refused_by_name() -> None:
    student = student_of(teacher_of(LAYERS), options())
    module = student.layer("fc")
    module.layer = replace(module.layer, input_bits=45)
    with pytest.raises(UserError, match=r"^layer fc must keep its sums below 2\^53"):
        student(images(LAYERS, 1))
