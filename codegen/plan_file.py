"""The folds and sizes of a plan as a file that a user reads and edits (TOML)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codegen.errors import UserError, did_you_mean, shown
from codegen.files import read_toml
from hw.timing import matrix_vector_timing, pool_timing

from .folds import Fold, window
from .plan import LayerPlan, Plan, Sizes
from .stages import Bounds, MatrixVectorStage, PoolStage, Stage

__all__ = ["PLAN_FILE", "Choices", "plan_text", "read_bounds", "read_plan"]

PLAN_FILE = "plan.toml"

Choices = tuple[dict[str, Fold], dict[str, Sizes]]
"""Folds and sizes by stage name."""

_HEAD = """\
# How {name} is folded. Edit a copy and build again with --plan COPY.
#
# pe          output channels computed at once
# row_lanes   kernel rows read at once, and
# run_lanes   numbers of each row, column after column: SIMD = row_lanes x run_lanes
# pixels      output pixels side by side at once; 1 without the line; others need all channels and whole rows
# logic       1 to make the products of logic; without the line: with multipliers, where the device has some
# groups      of a pool: into how many parts the channels are cut, one part at once
# buffer_rows rows of the map that the line buffer holds; without the line: as many as keep the pace
# fifo_depth  beats in the output FIFO; without the line: the least that never holds the layer up
"""

# No layer can have this name, for the hyphen in it.
_ANY_WEIGHTS = "any-weights"

_RELOADABLE = f"""
{_ANY_WEIGHTS} = true  # --reloadable: room for any weights of as many bits, not for the network's own alone
"""

_REQUIRED: dict[type[Stage], tuple[str, ...]] = {
    MatrixVectorStage: ("pe", "row_lanes", "run_lanes"),
    PoolStage: ("row_lanes", "run_lanes", "groups"),
}
_SIZES = ("buffer_rows", "fifo_depth")
_OPTIONAL = {MatrixVectorStage: ("pixels", "logic", *_SIZES), PoolStage: _SIZES}


def plan_text(plan: Plan) -> str:
    """The plan as TOML; ``read_plan`` gives it back."""
    head = _HEAD.format(name=plan.network) + _RELOADABLE * (plan.bounds is Bounds.TYPE)
    return head + "".join(_section(layer) for layer in plan.layers)


def _section(layer: LayerPlan) -> str:
    timing = layer.timing
    values = {key: getattr(layer.fold, key) for key in _REQUIRED[type(layer.stage)]}
    if layer.fold.pixels > 1:
        values["pixels"] = layer.fold.pixels
    if layer.fold.logic:
        values["logic"] = 1
    values |= {"buffer_rows": timing.window.buffer_rows, "fifo_depth": timing.fifo_depth}
    cost = f"{layer.lanes:,} lanes, " if layer.lanes else ""
    lines = [f"{key} = {value}" for key, value in values.items()]
    return (
        f"\n[{json.dumps(layer.stage.name)}]  # {cost}{timing.window.steps:,} steps an image\n"
        + "\n".join([*lines, ""])
    )


def read_plan(path: Path, stages: Sequence[Stage]) -> Choices:
    """The folds and sizes that a file gives the stages.

    Raises ``UserError`` naming the layer and the key for a file that does not fit them.
    """
    told = _read(path)
    told.pop(_ANY_WEIGHTS, None)
    layers = {stage.name: stage for stage in stages if isinstance(stage, MatrixVectorStage | PoolStage)}
    for name in told:
        if name not in layers:
            raise UserError(
                f"plan '{path}': a section must be a layer, not {shown(name)}{did_you_mean(name, layers)}"
            )
    folds, sizes = {}, {}
    for name, stage in layers.items():
        where = f"plan '{path}', layer '{name}'"
        folds[name], sizes[name] = _layer(where, stage, told.get(name))
        _check(where, stage, folds[name], sizes[name])
    return folds, sizes


def read_bounds(path: Path) -> Bounds:
    """The weights that the engines of a plan have room for. Raises ``UserError`` if it does not say so."""
    any_weights = _read(path).get(_ANY_WEIGHTS, False)
    if type(any_weights) is not bool:
        raise UserError(f"plan '{path}': {_ANY_WEIGHTS} must be true or false, not {shown(any_weights)}")
    return Bounds.TYPE if any_weights else Bounds.REAL


def _read(path: Path) -> dict[str, Any]:
    return read_toml(path, "plan")


def _layer(where: str, stage: MatrixVectorStage | PoolStage, section: Any) -> tuple[Fold, Sizes]:
    keys = _REQUIRED[type(stage)]
    known = (*keys, *_OPTIONAL[type(stage)])
    if not isinstance(section, dict) or any(key not in section for key in keys):
        raise UserError(f"{where}: it must have a section with {', '.join(keys)}")
    for key, value in section.items():
        if key not in known:
            hint = did_you_mean(key, known)
            raise UserError(f"{where}: a key must be one of {', '.join(known)}, not {shown(key)}{hint}")
        if type(value) is not int or value < 1:
            raise UserError(f"{where}: {key} must be a whole number from 1 up, not {shown(value)}")
    if section.get("logic", 1) != 1:
        raise UserError(f"{where}: logic must be 1 or not there, not {shown(section['logic'])}")
    sizes = {key: section[key] for key in _SIZES if key in section}
    folds = {"pe": 1} | {key: value for key, value in section.items() if key not in _SIZES}
    return Fold(**folds | {"logic": "logic" in section}), Sizes(**sizes)


def _check(where: str, stage: MatrixVectorStage | PoolStage, fold: Fold, sizes: Sizes) -> None:
    """Raises ``UserError`` for a fold that the engines do not have."""
    most = stage.channels // stage.groups if isinstance(stage, MatrixVectorStage) else 1
    if fold.pe > most:
        raise UserError(f"{where}: pe must be at most {most}, the output channels of a group, not {fold.pe}")
    try:
        sliding = window(stage, fold, stage.source.channels, sizes.buffer_rows)
        if isinstance(stage, MatrixVectorStage):
            matrix_vector_timing(sliding, fold.pe, stage.channels, 0, sizes.fifo_depth)
        else:
            pool_timing(sliding, sizes.fifo_depth)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error
