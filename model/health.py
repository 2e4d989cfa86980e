"""Has a layer collapsed? Shares of zero and of saturated codes after every quantiser."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codegen.ir import IntegerNetwork, Requantise

COLLAPSED = 0.95
EXAMINED = 200  # images that shares are counted on
MOST_LOST = 0.05  # of all images: what a layer may cost before it is named


@dataclass(frozen=True)
class LayerHealth:
    """Shares in 0..1 of the codes that are 0 and that are the highest; channels that always give one code."""

    layer: str
    zero: float
    saturated: float
    channels: int
    constant_channels: int

    def collapse(self) -> list[str]:
        """Whether nearly all codes are the same end of the range, as a sentence that names the layer."""
        found = []
        if self.zero >= COLLAPSED:
            found.append(f"layer {self.layer} is dead: {self.zero:.1%} of its codes are 0")
        if self.saturated >= COLLAPSED:
            found.append(
                f"layer {self.layer} is saturated: {self.saturated:.1%} of its codes are the highest one"
            )
        return found

    def warnings(self) -> list[str]:
        """All that is wrong with the layer, each a sentence that names it; empty for a healthy one."""
        found = self.collapse()
        if self.constant_channels:
            found.append(
                f"layer {self.layer} has {self.constant_channels} of {self.channels} channels that give "
                f"the same code for every image"
            )
        return found


def examine(network: IntegerNetwork, codes: NDArray[np.uint8]) -> list[LayerHealth]:
    """The health of every requantised layer on images (N, H, W, C) of codes."""
    trace = network.trace(codes)
    return [
        health(node.name, trace[node.name], node.op.bits)
        for node in network.nodes
        if isinstance(node.op, Requantise)
    ]


def health(name: str, codes: NDArray[np.integer], bits: int) -> LayerHealth:
    """The health of a layer that gave these codes (.., C) of so many bits."""
    columns = codes.reshape(-1, codes.shape[-1])
    constant = int((columns.min(0) == columns.max(0)).sum())
    return LayerHealth(
        name, float((codes == 0).mean()), float((codes == 2**bits - 1).mean()), columns.shape[1], constant
    )
