"""What a run says to a person."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from codegen.report import Report
from codegen.steps import Step

from .run import Outcome

__all__ = ["layers_table", "show_differences", "summary_table"]


def show_differences(console: Console, outcome: Outcome) -> None:
    """Every value that is not equal, and every beat that is not on time."""
    for difference in outcome.verdict.values:
        console.print(f"[red]not equal[/red]  {difference}", highlight=False, soft_wrap=True)
    for difference in outcome.verdict.cycles:
        console.print(f"[red]not on time[/red]  {difference}", highlight=False, soft_wrap=True)


def layers_table(report: Report) -> Table:
    """The layers of a report of the build, with their cycles."""
    table = Table()
    for title in ("layer", "in", "out", "W/A", "PE", "SIMD", "cycles", "predicted"):
        table.add_column(title, no_wrap=True)
    for row in report.layers:
        source, result = ("x".join(map(str, shape)) for shape in row.shape)
        table.add_row(
            row.name,
            source,
            result,
            f"{row.bits.weights or '-'}/{row.bits.input}",
            str(row.pe),
            str(row.simd or "-"),
            _text(row.cycles.simulated if row.cycles else None),
            _text(row.cycles.predicted if row.cycles else None),
        )
    return table


def summary_table(report: Report, outcome: Outcome) -> Table:
    """What a run found, and what its report says of the whole."""
    table = Table(show_header=False)
    equal = "all equal" if not outcome.mismatches else f"{outcome.mismatches:,} NOT EQUAL"
    table.add_row("images", f"{report.images}, with {outcome.compared:,} values in all layers: {equal}")
    scores = report.accuracy.measured.items()
    if scores:
        shares = (f"{name} {100 * score.share:.2f} % of {score.images:,}" for name, score in scores)
        table.add_row("accuracy", ", ".join(shares))
    for name, cycles in (
        ("cycles an image", report.cycles_per_image),
        ("first image after", report.first_image_latency),
    ):
        table.add_row(name, f"{_text(cycles.simulated)} simulated, {_text(cycles.predicted)} predicted")
    table.add_row(
        "lane efficiency",
        f"{report.lane_efficiency:.3f} of {report.lanes} lanes, {report.macs:,} MACs an image",
    )
    table.add_row("time", ", ".join(_times(report.steps)))
    return table


def _times(steps: Sequence[Step]) -> list[str]:
    """What took a second or more."""
    return [f"{row.name} {row.seconds:.0f} s" for row in steps if row.seconds >= 1]


def _text(number: float | None) -> str:
    return "-" if number is None else f"{number:,}"
