"""The student: integer weights, one integer (alpha, beta) per layer or channel, no batch norm.

Its forward is the integer network's own arithmetic on integer-valued floats wide enough to be exact, so that
its codes are those of the exported network, by equality. `model.tandem` trains it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.layered import Layered, sums
from model.networks import Layer, Topology
from model.quantise import exact_dtype, largest_sum, odd_weights, requantise, straight_through
from model.recipe import Scale
from model.recipe import Student as Options


class StudentLayer(nn.Module):
    """Weighted sums of codes. Latent: `weight`. It gives codes 0..`top`; for the classifier `top` is 1."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer
        self.top = 1 if layer.activation_bits is None else 2**layer.activation_bits - 1
        self.weight = nn.Parameter(torch.zeros(layer.weight_shape))

    def weights(self) -> Tensor:
        """Odd integers (out, in) or (out, in, ky, kx), float32."""
        return odd_weights(self.weight, self.layer.weight_bits)

    def accumulate(self, codes: Tensor) -> tuple[Tensor, int]:
        """Codes -> exact sums, in the smallest float that holds them, and a bound on their size."""
        weights = self.weights()
        bound = largest_sum(weights, self.layer.input_bits)
        dtype = exact_dtype(self.layer.name, bound)
        acc = sums(self.layer, codes.to(dtype), weights.to(dtype))
        if acc.is_cuda:  # where fast algorithms may come near the integers only
            acc = straight_through(acc.round(), acc)
        return acc, bound


class Hidden(StudentLayer):
    """A layer with integer (alpha, beta); latent: log(alpha), and `shift` = beta / d."""

    def __init__(self, layer: Layer, options: Options) -> None:
        super().__init__(layer)
        assert layer.activation_bits is not None, "the classifier has no activation"
        self.bits, self.fraction = layer.activation_bits, options.fraction
        self.divisor = (2**layer.weight_bits - 1) * 2**options.fraction
        shape = (layer.outputs,) if options.scale is Scale.CHANNEL else ()
        self.log_alpha = nn.Parameter(torch.zeros(shape, dtype=torch.float64))
        shift = torch.zeros(shape, dtype=torch.float64)
        if options.offset:
            self.shift = nn.Parameter(shift)
        else:
            self.register_buffer("shift", shift)

    def alpha(self) -> Tensor:
        """Positive integers, () or (out,)."""
        latent = self.log_alpha.exp()
        return straight_through(latent.round().clamp_min(1), latent)

    def beta(self) -> Tensor:
        """Integers, () or (out,)."""
        latent = self.shift * self.divisor
        return straight_through(latent.round(), latent)

    def activate(self, acc: Tensor, bound: int) -> Tensor:
        """Sums, never beyond +-`bound` -> codes of `activation_bits`, float32."""
        codes = requantise(
            acc, bound, self.alpha(), self.beta(), self.layer.weight_bits, self.fraction, self.bits
        )
        return codes.float()

    def forward(self, codes: Tensor) -> Tensor:
        return self.activate(*self.accumulate(codes))


class Classifier(StudentLayer):
    """Its exact sums are the logits up to a positive factor, `unit`, for training alone."""

    unit: Tensor

    def __init__(self, layer: Layer) -> None:
        super().__init__(layer)
        self.register_buffer("unit", torch.ones((), dtype=torch.float64))

    def logits(self, acc: Tensor) -> Tensor:
        """Sums (N, classes) -> logits, float32."""
        return (acc * self.unit).float()

    def forward(self, codes: Tensor) -> Tensor:
        return self.accumulate(codes)[0]


class Student(Layered):
    """The whole network: image codes (N, C, H, W) float32 -> sums of the classifier (N, classes)."""

    def __init__(self, topology: Topology, options: Options) -> None:
        def make(layer: Layer) -> nn.Module:
            return Classifier(layer) if layer.activation_bits is None else Hidden(layer, options)

        super().__init__(topology, make)

    def layer(self, name: str) -> StudentLayer:
        """The layer of this name."""
        module = self.layers[name]
        assert isinstance(module, StudentLayer)
        return module

    def logits(self, codes: Tensor) -> Tensor:
        """Image codes -> logits (N, classes) float32, for a loss."""
        classifier = self.layer(self.topology.layers[-1].name)
        assert isinstance(classifier, Classifier)
        return classifier.logits(self(codes))

    @torch.no_grad()
    def trace(self, codes: Tensor) -> dict[str, NDArray[np.int64]]:
        """Every node's integers for image codes (N, C, H, W), laid out as in the exported network."""
        nodes: dict[str, Tensor] = {}

        def layer_by_layer(layer: Layer, x: Tensor) -> Tensor:
            module = self.layers[layer.name]
            if not isinstance(module, Hidden):
                nodes[layer.name] = module(x)
                return nodes[layer.name]
            nodes[layer.name], bound = module.accumulate(x)
            nodes[f"{layer.name}_requantise"] = codes = module.activate(nodes[layer.name], bound)
            return codes

        sums = self.compute(codes, layer_by_layer, nodes.__setitem__)
        nodes["argmax"] = sums.argmax(1)
        return {name: _channels_last(value) for name, value in nodes.items()}


def _channels_last(value: Tensor) -> NDArray[np.int64]:
    value = value.permute(0, 2, 3, 1) if value.dim() == 4 else value
    array: NDArray[np.int64] = value.cpu().numpy().astype(np.int64)
    return array
