"""Bit flips in the memories of the weights, and what they cost: the golden model of networks with noise.

Every W-bit code is a weight, so a flipped bit makes another valid network, not an error.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from codegen.errors import UserError
from codegen.ir import Argmax, Conv, DorefaWeights, IntegerNetwork, Linear, Node, TestSet

__all__ = ["Flipped", "Trials", "correct_of", "flip", "study", "weighted"]

_BLOCK = 1 << 20  # codes at a time: what is drawn for them stays small, whatever the layer's size


@dataclass(frozen=True)
class Flipped:
    """A network after ``flips`` of the ``bits`` of its weights were turned over."""

    network: IntegerNetwork
    flips: int
    bits: int


@dataclass(frozen=True)
class Trials:
    """What one rate did: in one layer, or in all for ``None``. ``flips`` and ``correct``: bits flipped and
    images classified right, one number a trial."""

    layer: str | None
    rate: float
    flips: tuple[int, ...]
    correct: tuple[int, ...]


def weighted(network: IntegerNetwork) -> list[str]:
    """The layers with weights, in order."""
    return [node.name for node in network.nodes if isinstance(node.op, Conv | Linear)]


def flip(
    network: IntegerNetwork, rate: float, seed: int, trial: int = 0, layer: str | None = None
) -> Flipped:
    """Flips each bit of the stored W-bit weight codes with probability ``rate``, each for itself.

    Of every layer, or of ``layer`` alone, which then has the flips that it also has among all. Always the
    same for the same ``seed`` (0 or more), ``trial``, rate and network. Raises ``UserError`` for a rate
    outside 0..1 or a layer without weights.
    """
    names = weighted(network)
    if not 0 <= rate <= 1:
        raise UserError(f"a rate of flips must be from 0 to 1, not {rate}")
    if seed < 0:
        raise UserError(f"a seed of flips must be 0 or more, not {seed}")
    if layer is not None and layer not in names:
        raise UserError(f"layer must be one with weights, {', '.join(names)}, not '{layer}'")
    nodes, types, flips, bits = list[Node](), network.types, 0, 0
    for index, node in enumerate(network.nodes):
        if isinstance(node.op, Conv | Linear) and layer in (None, node.name):
            source, weights = types[node.inputs[0]], node.op.weights
            turned, count = _turned(weights, rate, np.random.default_rng([seed, trial, index]))
            width = turned.accumulator_bits(source.low, source.high)
            node = replace(node, op=replace(node.op, weights=turned, accumulator_bits=width))
            flips, bits = flips + count, bits + weights.codes.size * weights.bits
        nodes.append(node)
    return Flipped(IntegerNetwork(network.name, network.input, tuple(nodes)), flips, bits)


def _turned(weights: DorefaWeights, rate: float, random: np.random.Generator) -> tuple[DorefaWeights, int]:
    codes, count = weights.codes.flatten(), 0
    for start in range(0, codes.size, _BLOCK):
        block = codes[start : start + _BLOCK]
        bits = block.size * weights.bits
        places = random.choice(bits, random.binomial(bits, rate), replace=False, shuffle=False)
        masks = np.left_shift(1, places % weights.bits).astype(np.uint8)
        np.bitwise_xor.at(block, places // weights.bits, masks)
        count += places.size
    return DorefaWeights(codes.reshape(weights.shape), weights.bits), count


def study(
    network: IntegerNetwork,
    test: TestSet,
    rates: Sequence[float],
    trials: int,
    seed: int,
    layers: Sequence[str | None] = (None,),
    advance: Callable[[], None] = lambda: None,
) -> Iterator[Trials]:
    """Runs the images through ``trials`` flipped networks for each layer and rate, in this order, and calls
    ``advance`` after each of them.

    Raises ``UserError`` for a network that does not end in a class, and as ``flip``.
    """
    if not isinstance(network.nodes[-1].op, Argmax):
        raise UserError(
            f"network '{network.name}' must end in argmax to be right or wrong, "
            f"not in {network.nodes[-1].op.kind}"
        )
    for layer in layers:
        for rate in rates:
            flips, correct = list[int](), list[int]()
            for trial in range(trials):
                one = flip(network, rate, seed, trial, layer)
                flips.append(one.flips)
                correct.append(correct_of(one.network, test))
                advance()
            yield Trials(layer, rate, tuple(flips), tuple(correct))


def correct_of(network: IntegerNetwork, test: TestSet) -> int:
    """How many images a network classifies right."""
    return int((network.run(test.images) == test.labels).sum())
