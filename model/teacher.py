"""The teacher: a DoReFa-quantised network with batch norm, trained from labels, then frozen."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.networks import ConvLayer, LinearLayer, Topology
from model.quantise import dorefa_activation, dorefa_weights


class TeacherConv(nn.Module):
    """Convolution, batch norm, clip and quantise, max pool."""

    def __init__(self, layer: ConvLayer, generator: torch.Generator) -> None:
        super().__init__()
        self.layer = layer
        self.weight = _weight(generator, layer.outputs, layer.inputs, layer.kernel, layer.kernel)
        self.norm = nn.BatchNorm2d(layer.outputs)

    def target(self, x: Tensor, quantised: bool) -> Tensor:
        """What the student imitates, the output of batch norm, for activations (N, C, H, W) in 0..1."""
        weight = _effective(self.weight, self.layer.weight_bits, quantised)
        normed: Tensor = self.norm(functional.conv2d(x, weight, padding=self.layer.padding))
        return normed

    def activate(self, target: Tensor, quantised: bool) -> Tensor:
        """The layer's activations in 0..1 from its `target`."""
        x = dorefa_activation(target, self.layer.activation_bits) if quantised else target.clamp(0, 1)
        return functional.max_pool2d(x, self.layer.pool) if self.layer.pool > 1 else x


class TeacherLinear(nn.Module):
    """The classifier, without bias."""

    def __init__(self, layer: LinearLayer, generator: torch.Generator) -> None:
        super().__init__()
        self.layer = layer
        self.weight = _weight(generator, layer.outputs, layer.inputs)

    def logits(self, x: Tensor, quantised: bool) -> Tensor:
        """Activations (N, C, H, W) in 0..1 -> logits (N, classes); flattened as the IR does, (H, W, C)."""
        weight = _effective(self.weight, self.layer.weight_bits, quantised)
        return functional.linear(x.permute(0, 2, 3, 1).flatten(1), weight)


class Teacher(nn.Module):
    """The whole network, or its float form while `quantised` is False; images are codes (N, C, H, W)."""

    def __init__(self, topology: Topology, generator: torch.Generator) -> None:
        super().__init__()
        self.quantised = True
        self.input_levels = 2**topology.input_bits - 1
        self.convs = [TeacherConv(layer, generator) for layer in topology.hidden]
        self.hidden = nn.ModuleList(self.convs)  # what torch knows of `convs`
        self.classifier = TeacherLinear(topology.classifier, generator)

    def targets(self, codes: Tensor) -> list[Tensor]:
        """What each layer of the student imitates, first to last; the last are the logits (N, classes)."""
        x, targets = (codes / self.input_levels).float(), []
        for conv in self.convs:
            targets.append(conv.target(x, self.quantised))
            x = conv.activate(targets[-1], self.quantised)
        return [*targets, self.classifier.logits(x, self.quantised)]

    def forward(self, codes: Tensor) -> Tensor:
        return self.targets(codes)[-1]


def _weight(generator: torch.Generator, *shape: int) -> nn.Parameter:
    return nn.Parameter(nn.init.kaiming_normal_(torch.empty(shape), generator=generator))


def _effective(latent: Tensor, bits: int, quantised: bool) -> Tensor:
    return dorefa_weights(latent, bits) if quantised else torch.tanh(latent)
