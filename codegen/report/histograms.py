"""Which values move between the engines: counts over the golden model's run of the first images."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from codegen.ir import Conv, IntegerNetwork, Linear, TensorType
from codegen.plan import Plan
from codegen.stages import MatrixVectorStage, Stage

from .schema import Histogram, Histograms, LayerHistograms

__all__ = ["Values", "histogram", "histograms", "traced"]

Values = Mapping[str, NDArray[np.int64]]

_ELEMENTS, _MOST_ELEMENTS = 1 << 24, 1 << 27
_CODES = 256
_BINS = 64


def traced(network: IntegerNetwork, images: NDArray[np.integer], least: int) -> Values:
    """What every node gives, and "input", int64 (N, ...), for the first images: as many as stay below 2^24
    values together (128 MiB), but ``least`` where those stay below 2^27, and one always."""
    elements = sum(type.elements for type in network.types.values())
    count = max(_ELEMENTS // elements, min(least, _MOST_ELEMENTS // elements), 1)
    first = images[:count].astype(np.int64)
    return {"input": first} | network.trace(first)


def histograms(plan: Plan, network: IntegerNetwork, values: Values) -> Histograms:
    """How often each value occurs, for the input and each layer: of the accumulators of a layer with weights,
    and of the codes that it sends (docs/report.md has the form)."""

    def count(node: str | None) -> Histogram | None:
        return None if node is None else histogram(values[node], network.types[node])

    layers = (
        LayerHistograms(
            layer.stage.name, count(_accumulators(layer.stage, network)), count(_codes(layer.stage))
        )
        for layer in plan.layers
    )
    images = values["input"]
    return Histograms(len(images), histogram(images, network.input), tuple(layers))


def histogram(values: NDArray[np.int64], type: TensorType) -> Histogram:
    """``counts`` of the values from ``low`` to ``high``, ``bin_width`` of them in a bin, the last bin cut at
    ``high``: each value of a type that has 256 at most; of a wider one what occurred, in 64 bins at most."""
    low, high, most = type.low, type.high, _CODES
    if high - low >= _CODES:
        low, high, most = int(values.min()), int(values.max()), _BINS
    width = -(-(high - low + 1) // most)
    bins = -(-(high - low + 1) // width)
    counts = np.bincount((values.ravel() - low) // width, minlength=bins)
    return Histogram(low, high, width, tuple(counts.tolist()))


def _accumulators(stage: Stage, network: IntegerNetwork) -> str | None:
    """The node whose values are the sums of a layer with weights."""
    if not isinstance(stage, MatrixVectorStage):
        return None
    nodes, name = {node.name: node for node in network.nodes}, stage.output
    while not isinstance(nodes[name].op, Conv | Linear):
        name = nodes[name].inputs[0]
    return name


def _codes(stage: Stage) -> str | None:
    """The node whose codes a layer sends, unless it sends its sums."""
    return None if isinstance(stage, MatrixVectorStage) and stage.requantise is None else stage.output
