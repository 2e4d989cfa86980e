"""What a run says to a person."""

from typing import Any

from rich.console import Console
from rich.table import Table

from .run import Outcome

__all__ = ["layers_table", "show_differences", "summary_table"]


def show_differences(console: Console, outcome: Outcome) -> None:
    """Every value that is not equal, and every beat that is not on time."""
    for difference in outcome.verdict.values:
        console.print(f"[red]not equal[/red]  {difference}", highlight=False, soft_wrap=True)
    for difference in outcome.verdict.cycles:
        console.print(f"[red]not on time[/red]  {difference}", highlight=False, soft_wrap=True)


def layers_table(told: dict[str, Any]) -> Table:
    """The layers of a report of the build, with their cycles."""
    table = Table()
    for title in ("layer", "in", "out", "W/A", "PE", "SIMD", "cycles", "predicted"):
        table.add_column(title, no_wrap=True)
    for row in told["layers"]:
        source, result = ("x".join(map(str, shape)) for shape in row["shape"])
        table.add_row(
            row["name"],
            source,
            result,
            f"{row['bits']['weights'] or '-'}/{row['bits']['input']}",
            str(row["pe"]),
            str(row["simd"] or "-"),
            _text(row["cycles"]["simulated"]),
            _text(row["cycles"]["predicted"]),
        )
    return table


def summary_table(told: dict[str, Any], outcome: Outcome) -> Table:
    """What a run found, and what its report says of the whole."""
    table = Table(show_header=False)
    equal = "all equal" if not outcome.mismatches else f"{outcome.mismatches:,} NOT EQUAL"
    table.add_row("images", f"{told['images']}, with {outcome.compared:,} values in all layers: {equal}")
    accuracy = {name: share for name, share in told["accuracy"].items() if share is not None}
    if accuracy:
        shares = (f"{name} {100 * share:.2f} %" for name, share in accuracy.items())
        table.add_row("accuracy", ", ".join(shares))
    for key, name in (("cycles_per_image", "cycles an image"), ("first_image_latency", "first image after")):
        table.add_row(
            name, f"{_text(told[key]['simulated'])} simulated, {_text(told[key]['predicted'])} predicted"
        )
    table.add_row(
        "lane efficiency",
        f"{told['lane_efficiency']:.3f} of {told['lanes']} lanes, {told['macs']:,} MACs an image",
    )
    table.add_row("time", ", ".join(_times(told["steps"])))
    return table


def _times(steps: list[dict[str, Any]]) -> list[str]:
    """What took a second or more."""
    return [f"{row['name']} {row['seconds']:.0f} s" for row in steps if row["seconds"] >= 1]


def _text(number: float | None) -> str:
    return "-" if number is None else f"{number:,}"
