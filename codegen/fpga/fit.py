"""The fastest folds whose estimate fits a device, and what is short where none do."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from codegen.errors import UserError
from codegen.fold import Cost, Ledger, fold_within, least_costs
from codegen.folds import Fold, Option, options
from codegen.ir import DorefaWeights
from codegen.plan import Plan, layer_plan
from codegen.requantise import Form
from codegen.stages import ArgmaxStage, MatrixVectorStage, PoolStage, Stage
from hw.matrix_vector import products_at_once

from .cells import constant_product, product
from .devices import DEVICES, Device, Family, Resources
from .estimate import estimate, estimate_argmax, estimate_input, estimate_layer

__all__ = ["check_weights", "folds_for", "is_enough", "misfit"]

Layer = MatrixVectorStage | PoolStage


def folds_for(
    stages: Sequence[Stage],
    forms: Mapping[str, Form],
    device: Device,
    lanes: int | None = None,
    interval: int | None = None,
) -> Iterator[tuple[int, dict[str, Fold]]]:
    """Cycles an image, and the folds by stage name that need so many: the fewest with which what is usable of
    a device is enough, by the estimate, then the next slower ones, and so on. None if there are none.

    ``lanes``: at most so many as well. ``interval``: only the smallest that take at most so many cycles.
    """
    every, ledger = choices(stages, forms, device, lanes)
    return fold_within(stages, every, ledger, interval)


def choices(
    stages: Sequence[Stage], forms: Mapping[str, Form], device: Device, lanes: int | None = None
) -> tuple[list[list[Option]], Ledger]:
    """The folds of each layer that could fit, and what they cost: logic cells, flip-flops, blocks of memory,
    multipliers, and lanes if those are limited."""
    layers: list[Layer] = [stage for stage in stages if isinstance(stage, MatrixVectorStage | PoolStage)]
    every = [list(_options(stage, device, lanes)) for stage in layers]
    prices = [_price(stage, forms.get(stage.name), device.family) for stage in layers]
    last = stages[-1]

    def of(index: int, option: Option) -> Cost:
        found = prices[index](option)
        if isinstance(last, ArgmaxStage) and index == len(layers) - 1:
            bits, channels = last.source.bits, last.source.channels
            found += estimate_argmax(bits, option.out_lanes, channels, device.family)
        return _cost(found) if lanes is None else (*_cost(found), option.lanes)

    @cache
    def entry(index: int, width: int, granule: int) -> Cost:
        source = layers[index].source
        found = estimate_input(width, granule, source.channels, source.bits, device.family)
        return _cost(found) if lanes is None else (*_cost(found), 0)

    limit = _cost(device.usable) if lanes is None else (*_cost(device.usable), lanes)
    return every, Ledger(limit, of, entry)


def _cost(amount: Resources) -> Cost:
    return amount.luts, amount.ffs, amount.memories, amount.multipliers


def _options(stage: Layer, device: Device, lanes: int | None) -> Iterator[Option]:
    """The folds of a layer whose products alone do not fill the device: with multipliers where they need
    some and there are any, and of logic."""
    most = 1 << 62 if lanes is None else lanes
    if isinstance(stage, PoolStage):
        yield from options(stage, most)
        return
    usable, weight, code = device.usable, stage.weights.bits, stage.source.bits
    if min(weight, code) == 1:
        yield from options(stage, min(most, usable.ffs // (weight + max(weight, code))))
    elif device.has.multipliers == 0:
        yield from _of_logic(stage, device, most)
    else:
        yield from options(stage, min(most, usable.multipliers * products_at_once(weight, code)))
        for option in _of_logic(stage, device, most):
            yield replace(option, fold=replace(option.fold, logic=True))


def _of_logic(stage: MatrixVectorStage, device: Device, most: int) -> Iterator[Option]:
    """The folds whose products, made of logic, do not fill the device. Where all weights of a layer are used
    in every step they are constants, and their products take less."""
    widths, size = (stage.weights.bits, stage.source.bits), stage.weights.codes.size
    kinds = (product(device.family, *widths), constant_product(device.family, *widths))
    any_weight, constant = (device.usable.luts // max(1, one.luts) for one in kinds)
    for option in options(stage, min(most, constant if size <= constant else any_weight)):
        if option.lanes <= any_weight or option.fold.pe * option.fold.simd == size:
            yield option


def _price(stage: Layer, form: Form | None, family: Family) -> Callable[[Option], Resources]:
    """What a fold of a stage takes, without what depends on the layer before it."""

    @cache
    def price(option: Option) -> Resources:
        layer = layer_plan(stage, option.fold, option.granule, form)
        return estimate_layer(layer, family, contents=False)

    return price


def is_enough(device: Device, plan: Plan) -> bool:
    """Whether what is usable of a device is enough for a plan, by the estimate."""
    needed = sum(estimate(plan, device.family).values(), Resources())
    return not needed.beyond(device.usable)


def check_weights(name: str, stages: Sequence[Stage], device: Device) -> None:
    """Raises ``UserError`` with what would fit if a device cannot hold the weights of a network."""
    weights = [stage.weights for stage in stages if isinstance(stage, MatrixVectorStage)]
    count = sum(one.codes.size for one in weights)
    bits = sum(one.codes.size * one.bits for one in weights)
    if bits <= device.memory:
        return
    ways = [f"weights of {_counted(device.memory // count, 'bit')}"] if count <= device.memory else []
    ways += [one.name for one in _larger(device) if one.memory >= bits][:1]
    share = (device.memory / bits) ** 0.5  # weights grow with the square of the width
    raise UserError(
        f"'{name}' must fit {device.name}, and its weights are {_mega(bits)}bit where the block RAM holds "
        f"{_mega(device.memory)}bit; what would fit: {', '.join([*ways, f'about {share:.0%} of its width'])}"
    )


def misfit(name: str, stages: Sequence[Stage], forms: Mapping[str, Form], device: Device) -> UserError:
    """Why no folds of a network fit a device, and what would."""
    every, ledger = choices(stages, forms, replace(device, has=_ENDLESS), _FEW * len(stages))
    *least, _ = least_costs(stages, every, ledger)
    short = Resources(*least).beyond(device.usable)
    told = f"it takes at least {', '.join(short)}, however slow"
    if not short:
        told = "what one fold saves of one resource it takes of another"
    binary = [_with_one_bit(stage) for stage in stages]
    ways = ["weights of 1 bit"] if _fits(binary, forms, device) else []
    ways += [one.name for one in _larger(device) if _fits(stages, forms, one)][:1]
    return UserError(
        f"'{name}' must fit what is usable of {device.name}, and {told}; "
        f"what would fit: {' or '.join(ways) or 'none of our devices, only fewer or smaller layers'}"
    )


_ENDLESS = Resources(*[1 << 40] * 4)

_FEW = 16
"""Lanes a stage among which the smallest folds are: more of them take less of nothing, until all weights are
constants, which need no memory but all else."""


def _larger(device: Device) -> list[Device]:
    """The devices with more logic or more memory, the smallest first."""
    others = [one for one in DEVICES.values() if one.has.luts > device.has.luts or one.memory > device.memory]
    return sorted(others, key=lambda one: one.has.luts)


def _fits(stages: Sequence[Stage], forms: Mapping[str, Form], device: Device) -> bool:
    """Whether any folds fit, however slow."""
    return next(folds_for(stages, forms, device, _FEW * len(stages), 1 << 62), None) is not None


def _with_one_bit(stage: Stage) -> Stage:
    if not isinstance(stage, MatrixVectorStage):
        return stage
    return replace(stage, weights=DorefaWeights(np.minimum(stage.weights.codes, 1), 1))


def _mega(bits: int) -> str:
    return f"{bits / 1e6:,.1f} M" if bits >= 1_000_000 else f"{bits / 1e3:,.1f} k"


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"
