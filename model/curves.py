"""curves.png: loss and accuracy of a whole run, stage after stage."""

from __future__ import annotations

import io
from itertools import groupby

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from model.journal import Record


def draw(title: str, records: list[Record]) -> bytes:
    """A PNG: the loss (each stage has its own) above the validation accuracy, over all epochs of the run."""
    figure = Figure(figsize=(9, 5.5))
    FigureCanvasAgg(figure)
    losses, accuracies = figure.subplots(2, 1, sharex=True)
    figure.subplots_adjust(left=0.09, right=0.98, bottom=0.09, top=0.92, hspace=0.06)
    done = 0
    for stage, group in groupby(records, key=lambda record: record.stage):
        rows = list(group)
        epochs = [done + row.epoch for row in rows]
        losses.plot(epochs, [max(row.loss, 1e-9) for row in rows], marker=".", markersize=3, label=stage)
        accuracies.plot(epochs, [100 * row.accuracy for row in rows], marker=".", markersize=3)
        done += len(rows)
    losses.set(yscale="log", ylabel="loss", title=title)
    accuracies.set(xlabel="epoch", ylabel="validation accuracy, %")
    losses.minorticks_off()
    if records:
        losses.legend(fontsize="small")
    for axes in (losses, accuracies):
        axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
