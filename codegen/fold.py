"""Folding: how many PEs and SIMD lanes each layer gets, solved exactly.

All layers run at once, so the slowest sets the pace. How a layer is folded matters to the others through the
lanes it takes, and to the next one through the width of the stream between them, which bounds how fast that
one can write its line buffer. For a given pace the cheapest folds of a chain are found by dynamic programming
over the width of its last stream; their lanes fall as the pace slackens, so the fastest pace that fits a
budget is found by bisection over the paces that any fold has. The result is the best of all folds.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import gcd

from codegen.ir import UserError
from hw.geometry import WindowGeometry, ceil_div
from hw.matrix_vector import serial_lanes

from .stages import MatrixVectorStage, PoolStage, Stage

__all__ = ["Fold", "TooSlow", "fold", "window"]

Cost = tuple[int, int, int, int]
"""Multiplying lanes, lanes of pools, line buffers that rotate words, SIMD as a negative number: the less the
better, in this order."""


@dataclass(frozen=True, order=True)
class Fold:
    """``pe`` output channels by ``row_lanes`` kernel rows by ``run_lanes`` elements of each, at once.

    For pooling ``pe`` is 1 and ``groups`` says into how many parts the channels are cut.
    """

    pe: int
    row_lanes: int
    run_lanes: int
    groups: int = 1

    @property
    def simd(self) -> int:
        return self.row_lanes * self.run_lanes

    @property
    def lanes(self) -> int:
        return self.pe * self.simd


@dataclass(frozen=True)
class Option:
    """A fold and what it means for the chain: ``steps`` an image, ``granule`` elements that it writes at once
    at most, ``out_lanes`` numbers in a beat that it sends."""

    steps: int
    cost: Cost
    fold: Fold
    granule: int
    out_lanes: int


Chain = tuple[Cost, tuple[Fold, ...]]
"""The folds of the first layers, and what they cost together."""


def window(
    stage: MatrixVectorStage | PoolStage, fold: Fold, in_lanes: int, buffer_rows: int = 0
) -> WindowGeometry:
    """The sliding window of a stage with a given fold."""
    source = stage.source
    groups, repeats = fold.groups, 1
    if isinstance(stage, MatrixVectorStage):
        groups, repeats = stage.groups, ceil_div(stage.channels // stage.groups, fold.pe)
    return WindowGeometry(
        source.rows,
        source.columns,
        source.channels,
        in_lanes,
        stage.kernel,
        stage.stride,
        stage.padding,
        groups,
        repeats,
        fold.row_lanes,
        fold.run_lanes,
        buffer_rows,
    )


def fold(stages: Sequence[Stage], budget: int | None, interval: int | None = None) -> dict[str, Fold]:
    """The folds, by stage name, that finish an image in the fewest cycles with at most ``budget`` lanes, or
    with the fewest lanes in at most ``interval`` cycles; a budget of ``None`` is as many lanes as that takes.

    Only multiplying lanes count. Among folds that are equally fast those with the fewest lanes are taken.
    Raises ``UserError`` with the nearest that is possible if there are none.
    """
    layers = [stage for stage in stages if isinstance(stage, MatrixVectorStage | PoolStage)]
    least = sum(isinstance(stage, MatrixVectorStage) for stage in layers)
    if budget is None:
        assert interval is not None
        return _fold_for(layers, least, interval)
    if budget < least:
        raise UserError(f"lanes must be at least {least} for these {least} layers, not {budget}")
    options = [_options(stage, budget - least + 1) for stage in layers]
    paces = sorted({pace for pair in zip(layers, options, strict=True) for pace in _paces(*pair)})

    def fits(pace: int) -> bool:
        chain = _cheapest(layers, options, pace)
        return chain is not None and chain[0][0] <= budget

    pace = paces[bisect_left(paces, True, key=fits)]
    if interval is not None and interval < pace:
        raise TooSlow(
            f"cycles an image must be at least {pace:,} with {budget:,} lanes, not {interval:,}", pace
        )
    best = _cheapest(layers, options, interval or pace)
    assert best is not None  # one lane for each layer keeps the last pace
    return {stage.name: one for stage, one in zip(layers, best[1], strict=True)}


class TooSlow(UserError):
    """No folds reach an interval; ``pace`` is the nearest that some reach."""

    def __init__(self, message: str, pace: int):
        super().__init__(message)
        self.pace = pace


def _fold_for(layers: Sequence[Stage], least: int, interval: int) -> dict[str, Fold]:
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


def _cheapest(layers: Sequence[Stage], options: Sequence[Sequence[Option]], pace: int) -> Chain | None:
    """The cheapest folds with which every layer keeps the pace; ``None`` if there are none."""
    chains: dict[int, Chain] = {layers[0].source.channels: ((0, 0, 0, 0), ())}  # by the width of the stream
    for stage, choices in zip(layers, options, strict=True):
        before = {
            granule: min(
                (chain for lanes, chain in chains.items() if _write_cycles(stage, lanes, granule) <= pace),
                default=None,
            )
            for granule in {option.granule for option in choices}
        }
        longer: dict[int, Chain] = {}
        for option in choices:
            chain = before[option.granule]
            if chain is not None and option.steps <= pace:
                together = _add(chain[0], option.cost), (*chain[1], option.fold)
                longer[option.out_lanes] = min(together, longer.get(option.out_lanes, together))
        chains = longer
    return min(chains.values(), default=None)


def _add(a: Cost, b: Cost) -> Cost:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]


def _options(stage: Stage, most: int) -> list[Option]:
    """The folds worth having of at most ``most`` lanes: no other that is the same to its neighbours is as
    fast for less."""
    found = (
        _matrix_vector_options(stage, most) if isinstance(stage, MatrixVectorStage) else _pool_options(stage)
    )
    fastest: dict[tuple[int, int], int] = {}
    front = []
    for option in sorted(found, key=lambda option: (option.cost, option.steps, option.fold)):
        kind = option.granule, option.out_lanes
        if option.steps < fastest.get(kind, option.steps + 1):
            fastest[kind] = option.steps
            front.append(option)
    return front


def _matrix_vector_options(stage: MatrixVectorStage, most: int) -> Iterator[Option]:
    group = stage.channels // stage.groups
    for row_lanes in _useful(stage.kernel[0]):
        for run_lanes in _run_lanes(stage):
            simd = row_lanes * run_lanes
            if simd > most:
                continue
            geometry = window(stage, Fold(group, row_lanes, run_lanes), stage.source.channels)
            for pe in _pes(group, geometry.window_steps, most // simd):
                lanes = _serial_lanes(pe, geometry.window_steps)
                if stage.groups > 1 and group % lanes:
                    continue
                yield Option(
                    geometry.steps * ceil_div(group, pe),
                    (pe * simd, 0, int(geometry.rotates), -simd),
                    Fold(pe, row_lanes, run_lanes),
                    geometry.granule,
                    lanes,
                )


def _run_lanes(stage: MatrixVectorStage) -> list[int]:
    """For each granule the useful numbers of lanes that are its multiples: what is written at once is as
    much of a line buffer's speed as what is read."""
    channels = stage.weights.codes.shape[3]
    columns = stage.kernel[1] if stage.groups == 1 else 1
    sizes = [size for size in range(1, channels + 1) if channels % size == 0]
    return sorted({size * lanes for size in sizes for lanes in _useful(columns * channels // size)})


def _pes(group: int, window_steps: int, most: int) -> list[int]:
    """The numbers of PEs worth trying: any that takes more than one lane to send its sums on, else the
    useful ones."""
    wide = range(window_steps + 1, group + 1)
    return [pe for pe in sorted({*_useful(group), *wide}) if pe <= most]


_serial_lanes = cache(serial_lanes)


def _pool_options(stage: Stage) -> Iterator[Option]:
    """Some channels of one kernel position at a time, or all channels of one position or more."""
    assert isinstance(stage, PoolStage)
    channels = stage.source.channels
    parts = [(channels // groups, groups) for groups in range(2, channels + 1) if channels % groups == 0]
    whole = [(channels * taps, 1) for taps in _useful(stage.kernel[1])]
    for run_lanes, groups in parts + whole:
        for row_lanes in _useful(stage.kernel[0]):
            choice = Fold(1, row_lanes, run_lanes, groups)
            geometry = window(stage, choice, channels)
            cost = (0, choice.lanes, int(geometry.rotates), -choice.simd)
            yield Option(geometry.steps, cost, choice, geometry.granule, channels // groups)


@cache
def _useful(size: int) -> list[int]:
    """Each number of lanes for ``size`` items that no smaller number equals in steps, ascending."""
    return sorted({ceil_div(size, steps) for steps in range(1, size + 1)})
