"""Folding: how many PEs and SIMD lanes each layer gets, solved exactly.

All layers run at once, so the slowest sets the pace. How a layer is folded matters to the others through what
it takes of a common budget, and to the next one through the width of the stream between them, which bounds
how fast that one can write its line buffer. What is counted is a tuple of costs: lanes, or all that a device
has. For a given pace the chains of folds that no other beats in every cost are found by dynamic programming
over the width of the last stream. What they cost falls as the pace slackens, so the fastest pace that fits a
budget is found by bisection over the paces that any fold has. The result is the best of all folds.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from math import gcd
from operator import add, le, sub

from codegen.errors import UserError
from hw.geometry import ceil_div

from .folds import Fold, Option, options
from .stages import MatrixVectorStage, PoolStage, Stage

__all__ = ["Cost", "Ledger", "TooSlow", "fold", "fold_within", "least_costs", "least_lanes"]

Layer = MatrixVectorStage | PoolStage

SPARE = 64
"""One lane in so many may be spent where that saves logic, and one logic cell where that saves all else."""

Cost = tuple[int, ...]
Chain = tuple[Cost, tuple[Fold, ...]]
"""Costs and folds of the first layers."""
Key = Callable[[Cost], int]
Kinds = dict[tuple[int, int], list[Chain]]
"""The folds of one layer by what they mean to its neighbours: granule, and numbers in a beat that leaves."""


@dataclass(frozen=True)
class Ledger:
    """What is counted: ``of`` a fold of the layer with an index, and ``entry`` of a stream of some width that
    becomes granules of some size there. ``limit``: the most of each cost that all layers may have together.
    """

    limit: Cost
    of: Callable[[int, Option], Cost]
    entry: Callable[[int, int, int], Cost]


def _lanes(limit: int) -> Ledger:
    return Ledger((limit,), lambda _, option: (option.lanes,), lambda *_: (0,))


def _lanes_and_price(limit: int) -> Ledger:
    return Ledger((limit, 1 << 62), lambda _, option: (option.lanes, option.price), lambda *_: (0, 0))


def fold(stages: Sequence[Stage], budget: int | None, interval: int | None = None) -> dict[str, Fold]:
    """The folds, by stage name, that finish an image in the fewest cycles with at most ``budget`` lanes, or
    with the fewest lanes in at most ``interval`` cycles; a budget of ``None`` is as many lanes as that takes.

    Only multiplying lanes count. Among folds that are equally fast those that need the least logic are taken,
    if they take at most one lane in 64 more than the fewest.
    Raises ``UserError`` with the nearest that is possible if there are none.
    """
    layers = _layers(stages)
    least = least_lanes(stages, budget)
    if budget is None:
        assert interval is not None
        return _fold_for(layers, least, interval)
    every = [list(options(stage, budget - least + 1)) for stage in layers]
    paces = _paces(layers, every)
    fits = _lanes(budget)
    pace = paces[bisect_left(paces, True, key=lambda pace: bool(_chains(layers, every, pace, fits)))]
    if interval is not None and interval < pace:
        raise TooSlow(
            f"cycles an image must be at least {pace:,} with {budget:,} lanes, not {interval:,}", pace
        )
    if interval is not None:
        pace = interval
    (((fewest,), _),) = _chains(layers, every, pace, fits)
    most = fewest if interval is not None else min(budget, fewest + fewest // SPARE)
    found = _chains(layers, every, pace, _lanes_and_price(most))
    _, folds = min(found, key=lambda one: (one[0][::-1], one[1]))
    return {stage.name: one for stage, one in zip(layers, folds, strict=True)}


def fold_within(
    stages: Sequence[Stage], every: Sequence[Sequence[Option]], ledger: Ledger, interval: int | None = None
) -> Iterator[tuple[int, dict[str, Fold]]]:
    """Cycles, and the folds by stage name that finish an image in as many: the fewest within all limits of a
    ledger, then the next slower ones, and so on; or ``interval``, alone. None if there are none.

    ``every``: the folds to choose from for each layer. Of those that are equally fast, and take at most one
    in 64 more of the first cost than the least, the ones are taken that leave most of the limits together.
    """
    layers = _layers(stages)
    paces = _paces(layers, every) if interval is None else [interval]

    @cache
    def some(pace: int) -> Chain | None:
        keys = (_first, _share(ledger.limit), None)
        return next(
            filter(None, (min(_chains(layers, every, pace, ledger, key), default=None) for key in keys)), None
        )

    last = None
    for pace in paces[bisect_left(paces, True, key=lambda pace: some(pace) is not None) :]:
        enough = some(pace)
        assert enough is not None
        first = enough[0][0]
        limit = (min(first + first // SPARE, ledger.limit[0]), *ledger.limit[1:])
        _, folds = _spared(_chains(layers, every, pace, replace(ledger, limit=limit)), ledger.limit)
        if folds != last:
            yield pace, {stage.name: one for stage, one in zip(layers, folds, strict=True)}
        last = folds


def _first(cost: Cost) -> int:
    return cost[0]


def _spared(chains: Sequence[Chain], limit: Cost) -> Chain:
    """Of those with next to the least of the first cost the one that spends least of a budget."""
    least, share = min(_first(cost) for cost, _ in chains), _share(limit)
    few = (one for one in chains if _first(one[0]) <= least + least // SPARE)
    return min(few, key=lambda one: (share(one[0]), one))


def _share(limit: Cost) -> Key:
    """What of a budget is spent, all costs taken together."""
    return lambda cost: sum((spent << 32) // max(1, most) for spent, most in zip(cost, limit, strict=True))


def least_costs(stages: Sequence[Stage], every: Sequence[Sequence[Option]], ledger: Ledger) -> Cost:
    """The least of each cost, by itself, that the stages can be folded with, whatever the limits are."""
    layers, free = _layers(stages), replace(ledger, limit=(1 << 62,) * len(ledger.limit))
    pace = max(_paces(layers, every))
    kinds = [_kinds(found, pace, k, free) for k, found in enumerate(every)]
    return _rests(layers, kinds, pace, free)[0][layers[0].source.channels]


def least_lanes(stages: Sequence[Stage], budget: int | None) -> int:
    """The fewest lanes that the layers can have. Raises ``UserError`` for a budget below."""
    least = sum(isinstance(stage, MatrixVectorStage) for stage in stages)
    if budget is not None and budget < least:
        raise UserError(f"lanes must be at least {least} for these {least} layers, not {budget}")
    return least


class TooSlow(UserError):
    """No folds reach an interval; ``pace`` is the nearest that some reach."""

    def __init__(self, message: str, pace: int):
        super().__init__(message)
        self.pace = pace


def _layers(stages: Sequence[Stage]) -> list[Layer]:
    return [stage for stage in stages if isinstance(stage, MatrixVectorStage | PoolStage)]


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


def _paces(layers: Sequence[Layer], every: Sequence[Iterable[Option]]) -> list[int]:
    """The cycles that a layer can need for an image, ascending: to read its windows, or to write its map."""
    found: set[int] = set()
    for stage, folds in zip(layers, every, strict=True):
        found |= {option.steps for option in folds}
        found |= {_write_cycles(stage, size, size) for size in range(1, stage.source.channels + 1)}
    return sorted(found)


def _write_cycles(stage: Stage, in_lanes: int, granule: int) -> int:
    source = stage.source
    return source.rows * source.columns * ceil_div(source.channels, gcd(in_lanes, granule))


def _chains(
    layers: Sequence[Layer],
    every: Sequence[Sequence[Option]],
    pace: int,
    ledger: Ledger,
    key: Key | None = None,
) -> list[Chain]:
    """The chains with which every layer keeps the pace and all limits are kept, but for those that another
    equals in every cost. With a ``key`` only the lowest by it are followed: one chain or none, but soon."""
    kinds = [_kinds(found, pace, k, ledger, key) for k, found in enumerate(every)]
    rests = _rests(layers, kinds, pace, ledger)
    chains: dict[int, list[Chain]] = {layers[0].source.channels: [((0,) * len(ledger.limit), ())]}
    for k, stage in enumerate(layers):
        before: dict[int, list[Chain]] = {}  # by granule
        longer: dict[int, list[Chain]] = {}
        for (granule, out), alone in kinds[k].items():
            if out not in rests[k + 1]:
                continue
            if granule not in before:
                widths = [width for width in chains if _write_cycles(stage, width, granule) <= pace]
                entered = (_joined(chains[width], ledger.entry(k, width, granule)) for width in widths)
                before[granule] = _unbeaten(chain.from_iterable(entered), key)
            room = tuple(map(sub, ledger.limit, rests[k + 1][out]))
            joined = (one for b in alone for one in _joined(before[granule], *b))
            kept = (one for one in joined if all(map(le, one[0], room)))
            longer.setdefault(out, []).extend(_unbeaten(kept, key))
        chains = {width: _unbeaten(found, key) for width, found in longer.items()}
    return _unbeaten(chain.from_iterable(chains.values()), key)


def _joined(chains: Iterable[Chain], cost: Cost, folds: tuple[Fold, ...] = ()) -> Iterator[Chain]:
    """Chains with one more cost, and the folds that it is for."""
    return ((_add(before, cost), first + folds) for before, first in chains)


def _kinds(found: Iterable[Option], pace: int, index: int, ledger: Ledger, key: Key | None = None) -> Kinds:
    """The folds of a layer that keep the pace."""
    kinds: Kinds = {}
    for option in found:
        if option.steps <= pace:
            cost = ledger.of(index, option)
            if all(map(le, cost, ledger.limit)):
                kinds.setdefault((option.granule, option.out_lanes), []).append((cost, (option.fold,)))
    return {kind: _unbeaten(alone, key) for kind, alone in kinds.items()}


def _rests(
    layers: Sequence[Layer], kinds: Sequence[Kinds], pace: int, ledger: Ledger
) -> list[dict[int, Cost]]:
    """For each layer, and the end: the least of each cost, by itself, of that layer and all behind it, by the
    width of the stream that it reads; without widths from which the end is not reached."""
    widths = [{layers[0].source.channels}, *({out for _, out in one} for one in kinds)]
    rests = [dict.fromkeys(widths[-1], (0,) * len(ledger.limit))]
    for k in reversed(range(len(layers))):
        behind: dict[int, Cost] = {}  # by granule
        for (granule, out), alone in kinds[k].items():
            if out in rests[0]:
                least = _add(_least(cost for cost, _ in alone), rests[0][out])
                behind[granule] = _least([least, behind.get(granule, least)])
        rests.insert(0, {})
        for width in widths[k]:
            found = [
                _add(ledger.entry(k, width, granule), rest)
                for granule, rest in behind.items()
                if _write_cycles(layers[k], width, granule) <= pace
            ]
            if found:
                rests[0][width] = _least(found)
    return rests


def _add(left: Cost, right: Cost) -> Cost:
    return tuple(map(add, left, right))


def _least(costs: Iterable[Cost]) -> Cost:
    return tuple(map(min, zip(*costs, strict=True)))


def _unbeaten(chains: Iterable[Chain], key: Key | None = None) -> list[Chain]:
    """Those that no other equals in every cost, in the order of the first cost; with a ``key`` only the one
    with the lowest."""
    if key is not None:
        least = min(chains, key=lambda one: (key(one[0]), one), default=None)
        return [] if least is None else [least]
    front: list[Chain] = []
    for one in sorted(chains):
        if not any(all(map(le, other, one[0])) for other, _ in reversed(front)):
            front.append(one)
    return front
