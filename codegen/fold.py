"""Folding: how many PEs and SIMD lanes each layer gets, solved exactly.

All layers run at once, so the slowest sets the pace, and how a layer is folded matters to the others only
through the lanes it takes. For a given number of cycles each layer's cheapest fold is therefore found by
itself, and the lanes of all together fall as the cycles grow: the fewest cycles that fit a budget are found
by bisection over the cycles that any fold has. The result is the best of the search space.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from codegen.ir import UserError
from hw.geometry import WindowGeometry, ceil_div
from hw.matrix_vector import serial_lanes

from .stages import MatrixVectorStage, PoolStage, Stage

__all__ = ["Fold", "fold", "window"]


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
    """A fold with what it costs: ``cycles`` for an image, ``lanes``, and whether its line buffer must
    rotate words."""

    cycles: int
    lanes: int
    rotates: bool
    fold: Fold


def window(stage: Stage, fold: Fold, in_lanes: int, buffer_rows: int = 0) -> WindowGeometry:
    """The sliding window of a stage with a given fold."""
    source = stage.source
    if isinstance(stage, MatrixVectorStage):
        repeats = ceil_div(stage.channels // stage.groups, fold.pe)
        return WindowGeometry(
            source.rows,
            source.columns,
            source.channels,
            in_lanes,
            stage.kernel,
            stage.stride,
            stage.padding,
            stage.groups,
            repeats,
            fold.row_lanes,
            fold.run_lanes,
            buffer_rows,
        )
    assert isinstance(stage, PoolStage)
    return WindowGeometry(
        source.rows,
        source.columns,
        source.channels,
        in_lanes,
        stage.kernel,
        stage.stride,
        stage.padding,
        fold.groups,
        1,
        fold.row_lanes,
        fold.run_lanes,
        buffer_rows,
    )


def fold(stages: Sequence[Stage], budget: int) -> dict[str, Fold]:
    """The folds, by stage name, that finish an image in the fewest cycles with at most ``budget`` lanes.

    Only multiplying lanes count. Among folds that are equally fast the one with the fewest lanes is taken.
    Raises ``UserError`` with the least budget if there is none.
    """
    options = {
        stage.name: _options(stage) for stage in stages if isinstance(stage, MatrixVectorStage | PoolStage)
    }
    weighted = [stage.name for stage in stages if isinstance(stage, MatrixVectorStage)]
    paces = sorted({option.cycles for choices in options.values() for option in choices})
    paces = [pace for pace in paces if all(choices[0].cycles <= pace for choices in options.values())]

    def lanes(pace: int) -> int:
        return sum(_cheapest(options[name], pace).lanes for name in weighted)

    fitting = bisect_left(paces, True, key=lambda pace: lanes(pace) <= budget)
    if fitting == len(paces):
        raise UserError(
            f"lanes must be at least {lanes(paces[-1])} for these {len(weighted)} layers, not {budget}"
        )
    return {name: _cheapest(choices, paces[fitting]).fold for name, choices in options.items()}


def _cheapest(options: Sequence[Option], pace: int) -> Option:
    """The last of the options, fastest first, that keeps the pace: each is cheaper than the ones before
    it."""
    return options[bisect_left(options, pace + 1, key=lambda option: option.cycles) - 1]


def _options(stage: Stage) -> list[Option]:
    """The folds worth having: no other is as fast with fewer lanes. Fastest first."""
    folds = _matrix_vector_folds(stage) if isinstance(stage, MatrixVectorStage) else _pool_folds(stage)
    choices = sorted(
        (_option(stage, candidate) for candidate in folds),
        key=lambda option: (option.lanes, option.cycles, option.rotates, -option.fold.simd, option.fold),
    )
    front: list[Option] = []
    for option in choices:
        if not front or option.cycles < front[-1].cycles:
            front.append(option)
    return front[::-1]


def _option(stage: Stage, fold: Fold) -> Option:
    geometry = window(stage, fold, in_lanes=stage.source.channels)
    return Option(max(geometry.steps, geometry.write_cycles), fold.lanes, geometry.rotates, fold)


def _matrix_vector_folds(stage: MatrixVectorStage) -> list[Fold]:
    group = stage.channels // stage.groups
    run = stage.weights.codes.shape[3] * (stage.kernel[1] if stage.groups == 1 else 1)
    columns = 1 if stage.groups == 1 else stage.kernel[1]
    folds = []
    for row_lanes in _useful(stage.kernel[0]):
        for run_lanes in _useful(run):
            steps = ceil_div(stage.kernel[0], row_lanes) * ceil_div(run, run_lanes) * columns
            folds += [
                Fold(pe, row_lanes, run_lanes)
                for pe in _useful(group)
                if stage.groups == 1 or group % serial_lanes(pe, steps) == 0
            ]
    return folds


def _pool_folds(stage: Stage) -> list[Fold]:
    """Some channels of one kernel position at a time, or all channels of one position or more."""
    assert isinstance(stage, PoolStage)
    channels = stage.source.channels
    parts = [
        Fold(1, rows, channels // groups, groups)
        for groups in range(2, channels + 1)
        if channels % groups == 0
        for rows in _useful(stage.kernel[0])
    ]
    whole = [
        Fold(1, rows, channels * taps)
        for taps in _useful(stage.kernel[1])
        for rows in _useful(stage.kernel[0])
    ]
    return parts + whole


def _useful(size: int) -> list[int]:
    """Each number of lanes for ``size`` items that no smaller number equals in steps, ascending."""
    return sorted({ceil_div(size, steps) for steps in range(1, size + 1)})
