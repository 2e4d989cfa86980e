"""Folding: how many PEs and SIMD lanes each layer gets, solved exactly.

All layers run at once, so the slowest sets the pace. How a layer is folded matters to the others through the
lanes it takes, and to the next one through the width of the stream between them, which bounds how fast that
one can write its line buffer. For a given pace the fewest lanes of a chain are found by dynamic programming
over the width of its last stream; they fall as the pace slackens, so the fastest pace that fits a budget is
found by bisection over the paces that any fold has. At that pace a second pass keeps, for each width, every
chain that no other beats in lanes and in logic, and takes the one with the least logic that hardly more
lanes allow. The result is the best of all folds.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import chain
from math import gcd, inf

from codegen.ir import UserError
from hw.geometry import ceil_div

from .folds import Fold, Option, options
from .stages import MatrixVectorStage, PoolStage, Stage

__all__ = ["TooSlow", "fold"]

Layer = MatrixVectorStage | PoolStage

SPARE = 64
"""One lane in so many may be spent where that saves logic."""

Chain = tuple[int, int, tuple[Fold, ...]]
"""Lanes, price and folds of the first layers."""


def fold(stages: Sequence[Stage], budget: int | None, interval: int | None = None) -> dict[str, Fold]:
    """The folds, by stage name, that finish an image in the fewest cycles with at most ``budget`` lanes, or
    with the fewest lanes in at most ``interval`` cycles; a budget of ``None`` is as many lanes as that takes.

    Only multiplying lanes count. Among folds that are equally fast those that need the least logic are taken,
    if they take at most one lane in 64 more than the fewest.
    Raises ``UserError`` with the nearest that is possible if there are none.
    """
    layers: list[Layer] = [s for s in stages if isinstance(s, MatrixVectorStage | PoolStage)]
    least = sum(isinstance(stage, MatrixVectorStage) for stage in layers)
    if budget is None:
        assert interval is not None
        return _fold_for(layers, least, interval)
    if budget < least:
        raise UserError(f"lanes must be at least {least} for these {least} layers, not {budget}")
    every = [list(options(stage, budget - least + 1)) for stage in layers]
    fronts = [_front(found) for found in every]
    paces = sorted({pace for pair in zip(layers, fronts, strict=True) for pace in _paces(*pair)})
    limit = budget
    pace = paces[bisect_left(paces, True, key=lambda pace: _fewest_lanes(layers, fronts, pace) <= limit)]
    if interval is not None and interval < pace:
        raise TooSlow(
            f"cycles an image must be at least {pace:,} with {budget:,} lanes, not {interval:,}", pace
        )
    if interval is not None:
        pace = interval
    fewest = int(_fewest_lanes(layers, fronts, pace))
    most = fewest if interval is not None else min(budget, fewest + fewest // SPARE)
    folds = _cheapest(layers, every, pace, most)
    return {stage.name: one for stage, one in zip(layers, folds, strict=True)}


class TooSlow(UserError):
    """No folds reach an interval; ``pace`` is the nearest that some reach."""

    def __init__(self, message: str, pace: int):
        super().__init__(message)
        self.pace = pace


def _fold_for(layers: Sequence[Layer], least: int, interval: int) -> dict[str, Fold]:
    """The fewest lanes that reach an interval: budgets are doubled until one suffices."""
    floor = max(_least_cycles(stage) for stage in layers)
    if interval < floor:
        raise TooSlow(
            f"cycles an image must be at least {floor:,}, the pixels of the largest map, not {interval:,}",
            floor,
        )
    weighted = [stage for stage in layers if isinstance(stage, MatrixVectorStage)]
    budget = max(least, ceil_div(sum(stage.macs for stage in weighted), interval))
    most = sum(stage.weights.codes.size for stage in weighted)
    while True:
        try:
            return fold(layers, budget, interval)
        except TooSlow:
            if budget >= most:
                raise
            budget = min(2 * budget, most)


def _least_cycles(stage: Stage) -> int:
    """Cycles an image of a layer whose windows are computed in one cycle for each group."""
    groups = stage.groups if isinstance(stage, MatrixVectorStage) else 1
    pixels = max(stage.source.rows * stage.source.columns, stage.result.rows * stage.result.columns)
    return pixels * groups


def _paces(stage: Stage, options: Iterable[Option]) -> set[int]:
    """The cycles that a layer can need for an image: to read its windows, or to write its map."""
    sizes = range(1, stage.source.channels + 1)
    return {option.steps for option in options} | {_write_cycles(stage, size, size) for size in sizes}


def _write_cycles(stage: Stage, in_lanes: int, granule: int) -> int:
    source = stage.source
    return source.rows * source.columns * ceil_div(source.channels, gcd(in_lanes, granule))


def _front(found: Iterable[Option]) -> list[Option]:
    """Without those that are as slow as another that is the same to its neighbours, for as many lanes."""
    fastest: dict[tuple[int, int], int] = {}
    front = []
    for option in sorted(found, key=lambda option: (option.lanes, option.steps, option.price, option.fold)):
        kind = option.granule, option.out_lanes
        if option.steps < fastest.get(kind, option.steps + 1):
            fastest[kind] = option.steps
            front.append(option)
    return front


def _fewest_lanes(layers: Sequence[Layer], fronts: Sequence[Sequence[Option]], pace: int) -> float:
    """The fewest lanes with which every layer keeps the pace; infinite if none do."""
    fewest: dict[int, float] = {layers[0].source.channels: 0}  # by the width of the last stream
    for stage, front in zip(layers, fronts, strict=True):
        before = {
            granule: min(
                (lanes for width, lanes in fewest.items() if _write_cycles(stage, width, granule) <= pace),
                default=inf,
            )
            for granule in {option.granule for option in front}
        }
        longer: dict[int, float] = {}
        for option in front:
            if option.steps <= pace:
                lanes = before[option.granule] + option.lanes
                longer[option.out_lanes] = min(lanes, longer.get(option.out_lanes, inf))
        fewest = longer
    return min(fewest.values(), default=inf)


def _cheapest(
    layers: Sequence[Layer], every: Sequence[Sequence[Option]], pace: int, budget: int
) -> tuple[Fold, ...]:
    """The folds of the lowest price with which every layer keeps the pace and the budget is kept."""
    chains: dict[int, list[Chain]] = {layers[0].source.channels: [(0, 0, ())]}
    for stage, found in zip(layers, every, strict=True):
        kinds: dict[tuple[int, int], list[Chain]] = {}
        for option in found:
            if option.steps <= pace:
                kind = option.granule, option.out_lanes
                kinds.setdefault(kind, []).append((option.lanes, option.price, (option.fold,)))
        before = {
            granule: _unbeaten(
                chain.from_iterable(
                    found for width, found in chains.items() if _write_cycles(stage, width, granule) <= pace
                )
            )
            for granule in {granule for granule, _ in kinds}
        }
        longer: dict[int, list[Chain]] = {}
        for (granule, width), alone in kinds.items():
            joined = (
                (a[0] + b[0], a[1] + b[1], a[2] + b[2])
                for a in before[granule]
                for b in _unbeaten(alone)
                if a[0] + b[0] <= budget
            )
            longer.setdefault(width, []).extend(_unbeaten(joined))
        chains = {width: _unbeaten(found) for width, found in longer.items()}
    _, _, folds = min(chain.from_iterable(chains.values()), key=lambda one: (one[1], one[0], one[2]))
    return folds


def _unbeaten(chains: Iterable[Chain]) -> list[Chain]:
    """Those that no other equals in lanes for a lower price, in the order of lanes."""
    front: list[Chain] = []
    for one in sorted(chains):
        if not front or one[1] < front[-1][1]:
            front.append(one)
    return front
