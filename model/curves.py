"""curves.png: loss and accuracy of every stage, side by side."""

from __future__ import annotations

import io
from itertools import groupby

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from model.journal import Record


def draw(title: str, records: list[Record]) -> bytes:
    """A PNG with a column per stage: its loss above (each its own scale), validation accuracy below."""
    stages = [(name, list(group)) for name, group in groupby(records, key=lambda record: record.stage)]
    figure = Figure(figsize=(2.6 * max(1, len(stages)), 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    axes = figure.subplots(2, max(1, len(stages)), sharex="col", sharey="row", squeeze=False)
    for (name, group), above, below in zip(stages, axes[0], axes[1], strict=False):
        epochs = [record.epoch for record in group]
        above.plot(epochs, [max(record.loss, 1e-9) for record in group], color="tab:blue")
        below.plot(epochs, [100 * record.accuracy for record in group], color="tab:green")
        above.set(title=name, yscale="log")
        below.set(xlabel="epoch")
    axes[0][0].set(ylabel="loss")
    axes[1][0].set(ylabel="validation accuracy, %")
    for axis in axes.flat:
        axis.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
