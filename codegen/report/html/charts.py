"""Histograms of codes and accumulators, and bars of time and memory."""

from collections.abc import Sequence
from math import sqrt

from codegen.report.schema import Histogram, Histograms
from codegen.steps import Step

from .markup import Markup, element, percent, whole

__all__ = ["bar", "histograms", "steps"]

_MEGABYTE = 1_000_000
_GAPS = 32  # up to so many bars stand apart


def bar(share: float, kind: str) -> Markup:
    """A bar as wide as its share of the room; the number stands beside it, so it is hidden from readers."""
    filled = element("i", style=f"width:{100 * max(0.0, min(1.0, share)):.2f}%")
    return element("span", filled, class_=f"bar {kind}", aria_hidden="true")


def histograms(counted: Histograms) -> Markup:
    """A row of two pictures for the input and for every layer: its accumulators and its codes."""
    rows = [_row("input", None, counted.input)]
    rows += [_row(layer.name, layer.accumulators, layer.codes) for layer in counted.layers]
    return element("div", *rows, class_="values")


def _row(name: str, accumulators: Histogram | None, codes: Histogram | None) -> Markup:
    figures = [
        _figure(name, "accumulators", accumulators) if accumulators else Markup(""),
        _figure(name, "codes", codes) if codes else Markup(""),
    ]
    return element("section", element("h3", name), *figures)


def _figure(name: str, kind: str, counted: Histogram) -> Markup:
    low, high, counts = counted.low, counted.high, counted.counts
    title = f"{kind} of {name}, {whole(low)} to {whole(high)}"
    ends = [
        element("span", whole(low)),
        element("span", _remark(kind, counted)),
        element("span", whole(high)),
    ]
    picture = element(
        "svg",
        element("title", title),
        element("path", d=_bars(counts)),
        viewBox=f"0 0 {len(counts)} 100",
        preserveAspectRatio="none",
        role="img",
        aria_label=title,
    )
    return element("figure", picture, element("figcaption", *ends), class_=kind)


def _remark(kind: str, counted: Histogram) -> str:
    """What the bars count; of codes the shares of zero and of the highest, if each has a bar of its own."""
    counts, width = counted.counts, counted.bin_width
    if kind == "codes" and width == 1 and counted.low == 0:
        total = sum(counts)
        return f"codes, {percent(counts[0] / total)} zero, {percent(counts[-1] / total)} highest"
    return f"{kind}, bars of {whole(width)}" if width > 1 else kind


def _bars(counts: Sequence[int]) -> str:
    """One path: as high as the square root of each count, so that few beside many are seen."""
    most = sqrt(max(counts))
    gap = 0.1 if len(counts) <= _GAPS else 0
    return "".join(
        f"M{place + gap:g} 100V{100 - 100 * sqrt(count) / most:.1f}H{place + 1 - gap:g}V100Z"
        for place, count in enumerate(counts)
        if count
    )


def steps(rows: Sequence[Step]) -> Markup:
    """The time and the memory of every step, as a table with bars."""
    longest = max((row.seconds for row in rows), default=0) or 1
    largest = max((row.peak_rss_bytes for row in rows), default=0) or 1
    body = [
        element(
            "tr",
            element("th", row.name, scope="row"),
            element("td", f"{row.seconds:,.1f}"),
            element("td", bar(row.seconds / longest, "time"), class_="wide"),
            element("td", f"{row.peak_rss_bytes / _MEGABYTE:,.0f}"),
            element("td", bar(row.peak_rss_bytes / largest, "memory"), class_="wide"),
        )
        for row in rows
    ]
    total = sum(row.seconds for row in rows)
    titles = ("step", "seconds", "", "peak MB", "")
    heads = [element("th", text, scope="col") if text else element("td") for text in titles]
    foot = [element("th", "all", scope="row"), element("td", f"{total:,.1f}"), element("td", colspan=3)]
    return element(
        "table",
        element("thead", element("tr", *heads)),
        element("tbody", *body),
        element("tfoot", element("tr", *foot)),
        class_="steps",
    )
