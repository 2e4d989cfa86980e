"""The numbers of a layer's requantisation as its hardware holds them, and how wide they may become."""

from hw.requantise import (
    Loadable,
    Parameters,
    ScaleRequantise,
    ThresholdRequantise,
    scale_parameters,
    threshold_parameters,
)

from .requantise import Form, ScaleForm, ScaleRoom, ThresholdForm
from .stages import Bounds, MatrixVectorStage

__all__ = ["latency", "loadable", "parameters"]


def loadable(stage: MatrixVectorStage, form: Form, file: str = "") -> Loadable | None:
    """As much room as the numbers of any requantisation of the layer need, if it is reloadable."""
    if stage.bounds is Bounds.REAL:
        return None
    low, high = stage.whole_range
    ends = ScaleRoom.over(low, high).ends if isinstance(form, ScaleForm) else ((low, high + 1),)
    return Loadable(ends, file)


def parameters(stage: MatrixVectorStage, form: Form, lanes: int) -> Parameters:
    """The numbers of its channels, ``lanes`` at a time."""
    room = loadable(stage, form)
    if isinstance(form, ScaleForm):
        return scale_parameters(lanes, form.multiplier, form.offset, room)
    return threshold_parameters(lanes, form.thresholds, room)


def latency(stage: MatrixVectorStage, form: Form | None) -> int:
    """Cycles of the layer's requantisation, none if it has none."""
    if form is None:
        return 0
    if isinstance(form, ThresholdForm):
        return ThresholdRequantise.latency
    (_, top), _ = parameters(stage, form, 1).ends
    return ScaleRequantise.latency_of(*stage.whole_range, top)
