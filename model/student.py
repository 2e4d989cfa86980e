"""The student: integer weights, one integer (alpha, beta) per layer or channel, no batch norm.

Its forward is the integer network's own arithmetic on integer-valued float64 tensors, so that its codes are
those of the exported network, by equality. `model.tandem` trains it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from model.batches import to_tensor
from model.networks import ConvLayer, LinearLayer, Topology
from model.quantise import check_exact, odd_weights, requantise, straight_through
from model.recipe import Scale


class StudentConv(nn.Module):
    """Convolution, requantise, max pool, in integers; latent: `weight`, log(alpha), `shift` = beta / d."""

    def __init__(self, layer: ConvLayer, scale: Scale, fraction: int) -> None:
        super().__init__()
        check_exact(layer.name, layer.inputs * layer.kernel**2, layer.weight_bits, layer.input_bits)
        self.layer, self.fraction = layer, fraction
        self.divisor = (2**layer.weight_bits - 1) * 2**fraction
        shape = (layer.outputs,) if scale is Scale.CHANNEL else ()
        self.weight = nn.Parameter(
            torch.zeros(layer.outputs, layer.inputs, layer.kernel, layer.kernel, dtype=torch.float64)
        )
        self.log_alpha = nn.Parameter(torch.zeros(shape, dtype=torch.float64))
        self.shift = nn.Parameter(torch.zeros(shape, dtype=torch.float64))

    def weights(self) -> Tensor:
        """Odd integers (out, in, ky, kx)."""
        return odd_weights(self.weight, self.layer.weight_bits)

    def alpha(self) -> Tensor:
        """Positive integers, () or (out,)."""
        latent = self.log_alpha.exp()
        return straight_through(latent.round().clamp_min(1), latent)

    def beta(self) -> Tensor:
        """Integers, () or (out,)."""
        latent = self.shift * self.divisor
        return straight_through(latent.round(), latent)

    def accumulate(self, x: Tensor) -> Tensor:
        """Codes (N, C, H, W) -> exact sums (N, out, H', W')."""
        return functional.conv2d(x, self.weights(), padding=self.layer.padding)

    def activate(self, acc: Tensor) -> Tensor:
        """Sums -> codes of `activation_bits`, before pooling."""
        return requantise(
            acc, self.alpha(), self.beta(), self.layer.weight_bits, self.fraction, self.layer.activation_bits
        )

    def pool(self, codes: Tensor) -> Tensor:
        """Codes -> the layer's output."""
        return functional.max_pool2d(codes, self.layer.pool) if self.layer.pool > 1 else codes

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.activate(self.accumulate(x)))


class StudentLinear(nn.Module):
    """The classifier: its exact sums are the logits up to a positive factor, `unit`, for training alone."""

    unit: Tensor

    def __init__(self, layer: LinearLayer) -> None:
        super().__init__()
        check_exact(layer.name, layer.inputs, layer.weight_bits, layer.input_bits)
        self.layer = layer
        self.weight = nn.Parameter(torch.zeros(layer.outputs, layer.inputs, dtype=torch.float64))
        self.register_buffer("unit", torch.ones((), dtype=torch.float64))

    def weights(self) -> Tensor:
        """Odd integers (out, in)."""
        return odd_weights(self.weight, self.layer.weight_bits)

    def flatten(self, x: Tensor) -> Tensor:
        """Codes (N, C, H, W) -> (N, H * W * C), in that order, as the integer network flattens."""
        return x.permute(0, 2, 3, 1).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(self.flatten(x), self.weights())


class Student(nn.Module):
    """The whole network: image codes (N, C, H, W) float64 -> sums of the classifier (N, classes)."""

    def __init__(self, topology: Topology, scale: Scale, fraction: int) -> None:
        super().__init__()
        self.topology = topology
        self.convs = [StudentConv(layer, scale, fraction) for layer in topology.hidden]
        self.hidden = nn.ModuleList(self.convs)  # what torch knows of `convs`
        self.classifier = StudentLinear(topology.classifier)

    @torch.no_grad()
    def prefix(self, codes: Tensor, depth: int) -> Tensor:
        """The input of layer `depth` (0 is the first): what the layers before it make of the image codes."""
        for layer in self.convs[:depth]:
            codes = layer(codes)
        return codes

    def forward(self, codes: Tensor) -> Tensor:
        sums: Tensor = self.classifier(self.prefix(codes, len(self.convs)))
        return sums

    @torch.no_grad()
    def trace(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.int64]]:
        """Every node's integers for images (N, H, W, C), named and laid out as in the exported network."""
        x, steps = to_tensor(images), {}
        for conv in self.convs:
            name = conv.layer.name
            steps[name] = conv.accumulate(x)
            steps[f"{name}_requantise"] = x = conv.activate(steps[name])
            if conv.layer.pool > 1:
                steps[f"{name}_pool"] = x = conv.pool(x)
        steps["flatten"] = self.classifier.flatten(x)
        steps[self.classifier.layer.name] = sums = self.classifier(x)
        steps["argmax"] = sums.argmax(1)
        return {name: _channels_last(value) for name, value in steps.items()}


def _channels_last(value: Tensor) -> NDArray[np.int64]:
    value = value.permute(0, 2, 3, 1) if value.dim() == 4 else value
    array: NDArray[np.int64] = value.numpy().astype(np.int64)
    return array
