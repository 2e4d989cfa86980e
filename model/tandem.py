"""Progressive tandem learning (FIQNN, arXiv 2512.16476): the student imitates the frozen teacher by layers.

Stage 1 gives every layer the teacher's weights and a scale by least squares. Stage 2 trains one layer at a
time: the layers before it are frozen and feed it, and it imitates the teacher's same layer, so that it also
makes good what they lost.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from model.quantise import dorefa_activation
from model.recipe import Scale, Target
from model.student import Student
from model.teacher import Teacher, TeacherConv
from model.training import Loss

LATENT_SPAN = 0.75  # of the largest latent weight's tanh: gradients still flow there
TINY = torch.finfo(torch.float64).tiny


@torch.no_grad()
def initialise(student: Student, teacher: Teacher, codes: Tensor, scale: Scale) -> None:
    """Stage 1, on image codes (N, C, H, W): weights from the teacher, (alpha, beta) by least squares.

    For a layer's sums S, made from the student's own codes, and the teacher's target T in steps of the output
    code, it minimises |alpha S / d + beta / d - T|^2.
    """
    targets = teacher.targets(codes)
    for conv, master, target in zip(student.convs, teacher.convs, targets[:-1], strict=True):
        conv.weight.copy_(latent_weights(master.weight, channel_gain(master, scale)))
        top = 2**conv.layer.activation_bits - 1
        slope, offset = least_squares(conv.accumulate(codes), target.double() * top, scale)
        conv.log_alpha.copy_((slope * conv.divisor).clamp_min(1).log())
        conv.shift.copy_(offset)
        codes = conv(codes)
    classifier = student.classifier
    classifier.weight.copy_(latent_weights(teacher.classifier.weight, torch.ones(())))
    sums = classifier(codes)
    classifier.unit.copy_(((sums * targets[-1]).sum() / sums.square().sum().clamp_min(TINY)).clamp_min(TINY))


def channel_gain(master: TeacherConv, scale: Scale) -> Tensor:
    """The part of batch norm's gain that weights must take over, (out, 1, 1, 1).

    With a scale per channel only its sign: alpha is positive, and odd codes negate exactly. With one scale
    per layer all of it.
    """
    gamma, variance = master.norm.weight, master.norm.running_var
    assert variance is not None, "batch norm keeps running statistics"
    if scale is Scale.CHANNEL:
        gain = torch.where(gamma < 0, -1.0, 1.0)
    else:
        gain = gamma / (variance + master.norm.eps).sqrt()
    return gain.reshape(-1, 1, 1, 1)


def latent_weights(master: Tensor, gain: Tensor) -> Tensor:
    """Latent weights (float64) whose DoReFa form is tanh(master) * gain, scaled to fill -1..1."""
    wanted = torch.tanh(master.double()) * gain
    return torch.atanh(LATENT_SPAN * wanted / wanted.abs().max().clamp_min(TINY))


def least_squares(sums: Tensor, target: Tensor, scale: Scale) -> tuple[Tensor, Tensor]:
    """(slope, offset) that minimise |slope * sums + offset - target|^2, both (N, C, H, W) float64.

    One pair for each C, shape (C,), or for all, shape (). Where the sums are constant the slope is 0.
    """
    dims = (0, 2, 3) if scale is Scale.CHANNEL else (0, 1, 2, 3)
    mean_s, mean_t = sums.mean(dims, keepdim=True), target.mean(dims, keepdim=True)
    spread = (sums - mean_s).square().mean(dims)
    slope = ((sums - mean_s) * (target - mean_t)).mean(dims) / spread.clamp_min(TINY)
    return slope, mean_t.reshape(slope.shape) - slope * mean_s.reshape(slope.shape)


def imitation(student: Student, teacher: Teacher, depth: int, target: Target) -> Loss:
    """Stage 2's loss for layer `depth` on image codes (N, C, H, W), fed by the frozen layers before it.

    A hidden layer: mean squared distance to the teacher's activations in 0..1, before or after their
    quantiser as `target` says. The classifier: Kullback-Leibler divergence from the teacher's softmax.
    """

    def hidden(codes: Tensor, _: Tensor) -> Tensor:
        conv = student.convs[depth]
        bits = conv.layer.activation_bits
        with torch.no_grad():
            wanted = teacher.targets(codes)[depth].double()
            wanted = wanted.clamp(0, 1) if target is Target.CLIPPED else dorefa_activation(wanted, bits)
        got = conv.activate(conv.accumulate(student.prefix(codes, depth))) / (2**bits - 1)
        return functional.mse_loss(got, wanted)

    def classifier(codes: Tensor, _: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = teacher(codes).double().log_softmax(1)
        got = (student(codes) * student.classifier.unit).log_softmax(1)
        return functional.kl_div(got, wanted, reduction="batchmean", log_target=True)

    return hidden if depth < len(student.convs) else classifier
