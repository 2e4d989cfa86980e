"""How a network computes, written once for teacher and student: both carry codes from layer to layer."""

from __future__ import annotations

from collections.abc import Callable, Generator

from torch import Tensor, nn
from torch.nn import functional

from model.networks import Conv, GlobalAverage, Layer, Part, Residual, Topology
from model.quantise import straight_through

Step = tuple[Layer, Tensor]
Watch = Callable[[str, Tensor], None]
"""Is told the name of a node of the exported network, and its codes (N, C, H, W) or (N, C)."""


def sums(layer: Layer, x: Tensor, weights: Tensor) -> Tensor:
    """The layer's weighted sums of x."""
    if isinstance(layer, Conv):
        return functional.conv2d(x, weights, stride=layer.stride, padding=layer.padding)
    return functional.linear(x, weights)


class Layered(nn.Module):
    """A module for each layer of a topology, found by the layer's name.

    Between layers there are codes: integer-valued tensors (N, C, H, W), or (N, C) behind the first fully
    connected layer, in 0..2^bits - 1. While `quantised` is False they are not rounded.
    """

    def __init__(self, topology: Topology, make: Callable[[Layer], nn.Module]) -> None:
        super().__init__()
        self.topology, self.quantised = topology, True
        self.layers = nn.ModuleDict({layer.name: make(layer) for layer in topology.layers})

    def forward(self, codes: Tensor) -> Tensor:
        """Image codes (N, C, H, W) -> what the classifier gives (N, classes)."""
        return self.compute(codes, lambda layer, x: self.layers[layer.name](x))

    def compute(
        self, codes: Tensor, layer_by_layer: Callable[[Layer, Tensor], Tensor], watch: Watch | None = None
    ) -> Tensor:
        """What the classifier gives, if each layer's output, before pooling, is what the function says."""
        return _finish(self._walk(codes, watch), layer_by_layer)

    def pause(self, codes: Tensor, name: str) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """The input of the layer `name`, and the function from that layer's output, before pooling, to what
        the classifier gives."""
        walk = self._walk(codes, None)
        layer, x = next(walk)
        while layer.name != name:
            layer, x = walk.send(self.layers[layer.name](x))

        def resume(output: Tensor) -> Tensor:
            return _finish(walk, lambda layer, x: self.layers[layer.name](x), output)

        return x, resume

    def _walk(self, codes: Tensor, watch: Watch | None) -> Generator[Step, Tensor, Tensor]:
        return Walk(self.quantised, watch).network(self.topology.parts, codes)


def _finish(
    walk: Generator[Step, Tensor, Tensor],
    compute: Callable[[Layer, Tensor], Tensor],
    sent: Tensor | None = None,
) -> Tensor:
    try:
        layer, x = next(walk) if sent is None else walk.send(sent)
        while True:
            layer, x = walk.send(compute(layer, x))
    except StopIteration as end:
        result: Tensor = end.value
        return result


class Walk:
    """Generators that give out each layer with its input, and are sent its output."""

    def __init__(self, quantised: bool, watch: Watch | None) -> None:
        self.quantised, self.watch = quantised, watch or (lambda name, codes: None)

    def network(self, parts: tuple[Part, ...], x: Tensor) -> Generator[Step, Tensor, Tensor]:
        for part in parts:
            if isinstance(part, Residual):
                x = yield from self.residual(part, x)
            elif isinstance(part, GlobalAverage):
                x = self.average(part, x)
            elif isinstance(part, Conv):
                x = yield from self.conv(part, x)
            else:
                x = yield part, self.flat(x)
        return x

    def conv(self, layer: Conv, x: Tensor) -> Generator[Step, Tensor, Tensor]:
        x = yield layer, x
        if layer.pool is not None:
            x = functional.max_pool2d(x, layer.pool.kernel, layer.pool.stride, layer.pool.padding)
            self.watch(f"{layer.name}_pool", x)
        return x

    def residual(self, part: Residual, x: Tensor) -> Generator[Step, Tensor, Tensor]:
        main = short = x
        for layer in part.main:
            main = yield from self.conv(layer, main)
        for layer in part.shortcut:
            short = yield from self.conv(layer, short)
        total = main + short
        self.watch(f"{part.name}_add", total)
        cut = total.clamp_max(2**part.bits - 1)
        self.watch(f"{part.name}_requantise", cut)
        return cut

    def average(self, part: GlobalAverage, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        if self.quantised:  # exact halves go up, and float sums of integers are exact
            mean = straight_through((mean + 0.5).floor(), mean)
        self.watch(part.name, mean)
        return mean

    def flat(self, x: Tensor) -> Tensor:
        if x.dim() == 4:
            x = x.permute(0, 2, 3, 1).flatten(1)  # (H, W, C), as the exported network has it
            self.watch("flatten", x)
        return x
