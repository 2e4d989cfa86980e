"""The teacher: a DoReFa-quantised network with batch norm, trained from labels, then frozen."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.distributed import BatchNorm
from model.layered import Layered, sums
from model.networks import Layer, Topology
from model.quantise import dorefa_activation, dorefa_weights


class TeacherLayer(nn.Module):
    """Weighted sums of codes, batch norm, clip and quantise; the classifier's sums are the logits."""

    def __init__(self, layer: Layer, generator: torch.Generator) -> None:
        super().__init__()
        self.layer, self.quantised = layer, True
        weight = torch.empty(layer.weight_shape)
        self.weight = nn.Parameter(nn.init.kaiming_normal_(weight, generator=generator))
        self.norm = BatchNorm(layer.outputs) if layer.activation_bits is not None else None

    def target(self, codes: Tensor) -> Tensor:
        """What the student imitates: the output of batch norm, which is to be clipped to 0..1, or logits."""
        weight = dorefa_weights(self.weight, self.layer.weight_bits) if self.quantised else self.weight.tanh()
        acc = sums(self.layer, codes, weight / (2**self.layer.input_bits - 1))
        return acc if self.norm is None else self.norm(acc)

    def activate(self, target: Tensor) -> Tensor:
        """The layer's output from its `target`: codes, rounded unless it computes in floats, or logits."""
        bits = self.layer.activation_bits
        if bits is None:
            return target
        activation = dorefa_activation(target, bits) if self.quantised else target.clamp(0, 1)
        return activation * (2**bits - 1)

    def forward(self, codes: Tensor) -> Tensor:
        return self.activate(self.target(codes))


class Teacher(Layered):
    """The whole network; image codes (N, C, H, W) float32 -> logits (N, classes)."""

    def __init__(self, topology: Topology, generator: torch.Generator) -> None:
        super().__init__(topology, lambda layer: TeacherLayer(layer, generator))

    def layer(self, name: str) -> TeacherLayer:
        """The layer of this name."""
        module = self.layers[name]
        assert isinstance(module, TeacherLayer)
        return module

    def logits(self, codes: Tensor) -> Tensor:
        """The same as calling it; a student's logits are not its sums."""
        result: Tensor = self(codes)
        return result

    def set_quantised(self, quantised: bool) -> None:
        """Compute with quantised weights and activations, or as the float network."""
        self.quantised = quantised
        for layer in self.topology.layers:
            self.layer(layer.name).quantised = quantised
