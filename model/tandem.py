"""Progressive tandem learning (FIQNN, arXiv 2512.16476): the student imitates the frozen teacher by layers.

Stage 1 gives every layer the teacher's weights and a scale by least squares. Stage 2 trains one layer at a
time: the layers before it are frozen and feed it, and it imitates the teacher's same layer, so that it also
makes good what they lost.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.networks import Layer
from model.quantise import dorefa_activation
from model.recipe import Feed, Scale, Start, Target
from model.recipe import Student as Options
from model.student import Classifier, Hidden, Student, StudentLayer
from model.teacher import Teacher, TeacherLayer

LATENT_SPAN = 0.75  # of the largest latent weight's tanh: gradients still flow there
TINY = torch.finfo(torch.float64).tiny
SAME = 1e-10  # of the mean square: less variance than this is rounding


@torch.no_grad()
def initialise(
    student: Student, teacher: Teacher, batches: list[Tensor], options: Options, generator: torch.Generator
) -> None:
    """Stage 1, on batches of image codes (N, C, H, W): first weights, then (alpha, beta) by least squares.

    For a layer's sums S, made from the student's own codes, and the teacher's target T in steps of the output
    code, it minimises |alpha S / d + beta / d - T|^2; `options.start` may ask for less.
    """
    for layer in student.topology.layers:
        module, master = student.layer(layer.name), teacher.layer(layer.name)
        if options.start is Start.RANDOM:
            nn.init.kaiming_normal_(module.weight, generator=generator)
        else:
            module.weight.copy_(latent_weights(master.weight, channel_gain(master, options.scale)))
        moments = Moments(options.scale if isinstance(module, Hidden) else Scale.LAYER)
        for codes in batches:
            x, _ = student.pause(codes, layer.name)
            moments.add(module.accumulate(x)[0], teacher_target(teacher, layer, codes) * module.top)
        if isinstance(module, Classifier):
            slope, _ = moments.line(offset=False)
            if options.start is not Start.LEAST_SQUARES or slope <= 0:  # logits must not lose their sign
                slope, _ = moments.spread(module.top)
            module.unit.copy_(slope)
        elif isinstance(module, Hidden):
            fitted = options.start is Start.LEAST_SQUARES
            slope, offset = moments.line(options.offset) if fitted else moments.spread(module.top)
            module.log_alpha.copy_((slope * module.divisor).clamp_min(1).log())
            module.shift.copy_(offset)


def teacher_target(teacher: Teacher, layer: Layer, codes: Tensor) -> Tensor:
    """What the teacher's batch norm behind a layer gives for image codes, or its logits."""
    x, _ = teacher.pause(codes, layer.name)
    return teacher.layer(layer.name).target(x)


def channel_gain(master: TeacherLayer, scale: Scale) -> Tensor:
    """The part of batch norm's gain that weights must take over, (out, 1, ..) to multiply weights with.

    With a scale per channel only its sign: alpha is positive, and odd codes negate exactly. With one scale
    per layer all of it. The classifier has no batch norm: 1.
    """
    if master.norm is None:
        return torch.ones((), device=master.weight.device)
    gamma, variance = master.norm.weight, master.norm.running_var
    assert variance is not None, "batch norm keeps running statistics"
    if scale is Scale.CHANNEL:
        gain = torch.where(gamma < 0, -1.0, 1.0)
    else:
        gain = gamma / (variance + master.norm.eps).sqrt()
    return gain.reshape(-1, *[1] * (master.weight.dim() - 1))


def latent_weights(master: Tensor, gain: Tensor) -> Tensor:
    """Latent weights whose DoReFa form is tanh(master) * gain, scaled to fill -1..1; computed in float64."""
    wanted = torch.tanh(master.double()) * gain
    return torch.atanh(LATENT_SPAN * wanted / wanted.abs().max().clamp_min(TINY))


class Moments:
    """Sums over everything that was added, for each channel, or over all of them."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self.count = 0
        self.s = self.t = self.ss = self.st = torch.zeros((), dtype=torch.float64)

    def add(self, sums: Tensor, target: Tensor) -> None:
        """Count sums S and targets T, both (N, C) or (N, C, H, W)."""
        sums, target = sums.double(), target.double()
        dims = [d for d in range(sums.dim()) if d != 1 or self.scale is Scale.LAYER]
        self.count += sums.numel() if self.scale is Scale.LAYER else sums.numel() // sums.shape[1]
        products = (sums, target, sums.square(), sums * target)
        totals = (self.s, self.t, self.ss, self.st)
        self.s, self.t, self.ss, self.st = (
            total.to(product.device) + product.sum(dims)
            for total, product in zip(totals, products, strict=True)
        )

    def line(self, offset: bool) -> tuple[Tensor, Tensor]:
        """(slope, offset) that minimise |slope S + offset - T|^2; without `offset` it is 0.

        Where S is constant the slope is 0.
        """
        if not offset:
            return self.st / self.ss.clamp_min(TINY), torch.zeros_like(self.s)
        spread = self.ss - self.s.square() / self.count
        slope = (self.st - self.s * self.t / self.count) / spread.clamp_min(TINY)
        slope = torch.where(spread > SAME * self.ss, slope, 0)
        return slope, (self.t - slope * self.s) / self.count

    def spread(self, top: int) -> tuple[Tensor, Tensor]:
        """(slope, offset) that know nothing of T: two standard deviations of S above 0 reach code `top`."""
        deviation = (self.ss / self.count - (self.s / self.count).square()).clamp_min(0).sqrt()
        return top / (2 * deviation.clamp_min(0.5)), torch.zeros_like(self.s)


class Labels(nn.Module):
    """The loss of teachers, and of a student without one: cross-entropy of image codes and labels (N,)."""

    def __init__(self, network: Teacher | Student) -> None:
        super().__init__()
        self.network = network

    def forward(self, codes: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(self.network.logits(codes), labels)


class Imitation(nn.Module):
    """Stage 2's loss of one layer, fed by the frozen layers before it, on image codes (N, C, H, W).

    A hidden layer: mean squared distance to the teacher's activations in 0..1, before or after their
    quantiser, and `suffix` times that of the logits, if the teacher goes on from what the layer gives. The
    classifier: Kullback-Leibler divergence from the teacher's softmax, and so for the logits.
    """

    def __init__(self, student: Student, teacher: Teacher, layer: Layer, options: Options) -> None:
        super().__init__()
        self.student, self.teacher, self.layer, self.options = student, teacher, layer, options

    def forward(self, codes: Tensor, _: Tensor) -> Tensor:
        name, options = self.layer.name, self.options
        with torch.no_grad():
            taught, resume = self.teacher.pause(codes, name)
            target = self.teacher.layer(name).target(taught)
            own = taught if options.feed is Feed.TEACHER else self.student.pause(codes, name)[0]
        module = self.student.layer(name)
        got = module(own)
        loss = distance(module, got, target, options.target)
        if options.suffix and isinstance(module, Hidden):
            with torch.no_grad():
                wanted = self.teacher(codes)
            loss = loss + options.suffix * divergence(resume(got), wanted)
        return loss


class Together(nn.Module):
    """The sum of all layers' losses, each fed by the student as it is now, no gradient between layers."""

    def __init__(self, student: Student, teacher: Teacher, options: Options) -> None:
        super().__init__()
        self.student, self.teacher, self.options = student, teacher, options

    def forward(self, codes: Tensor, _: Tensor) -> Tensor:
        targets: dict[str, Tensor] = {}

        def teach(layer: Layer, x: Tensor) -> Tensor:
            module = self.teacher.layer(layer.name)
            targets[layer.name] = target = module.target(x)
            return module.activate(target)

        with torch.no_grad():
            self.teacher.compute(codes, teach)
        losses = []

        def learn(layer: Layer, x: Tensor) -> Tensor:
            module = self.student.layer(layer.name)
            got = module(x.detach())
            losses.append(distance(module, got, targets[layer.name], self.options.target))
            return got

        self.student.compute(codes, learn)
        return torch.stack(losses).sum()


def distance(module: StudentLayer, got: Tensor, target: Tensor, kind: Target) -> Tensor:
    """How far a layer's codes, or its sums, are from the teacher's `target`."""
    if isinstance(module, Classifier):
        return divergence(module.logits(got), target)
    assert isinstance(module, Hidden)
    wanted = target.clamp(0, 1) if kind is Target.CLIPPED else dorefa_activation(target, module.bits)
    return functional.mse_loss(got / module.top, wanted)


def divergence(got: Tensor, wanted: Tensor) -> Tensor:
    """Kullback-Leibler divergence of two batches of logits (N, classes)."""
    return functional.kl_div(
        got.log_softmax(1), wanted.log_softmax(1), reduction="batchmean", log_target=True
    )
