"""The tables of a page: every layer, and what each takes of a device."""

from collections.abc import Sequence
from dataclasses import astuple

from codegen.fpga.devices import Resources
from codegen.report.schema import Fpga, Layer, Report

from .charts import bar
from .markup import NOTHING, Markup, classes, element, exact, percent, shape, whole
from .pace import busy, efficiency, slowest, unmeasured

__all__ = ["layers", "resources"]

_GROUPS = (("", 1), ("shape and bits", 3), ("fold", 2), ("cycles an image", 4), ("use of lanes", 2), ("", 1))
_LAYER = (
    "layer", "in", "out", "W/A", "PE × SIMD", "lanes", "steps", "writes", "simulated", "predicted",
    "busy", "efficiency", "weight bits",
)  # fmt: skip
_RESOURCES = ("LUT4", "flip-flops", "block RAM", "multipliers")


def layers(report: Report) -> Markup:
    """Every layer: what it is, how it is folded, how long it takes."""
    groups = [
        element("th", text, colspan=span, scope="colgroup") if text else element("td", colspan=span)
        for text, span in _GROUPS
    ]
    cycles = report.cycles_per_image
    foot = ["accelerator", "", "", "", "", whole(report.lanes), "", "", whole(cycles.simulated),
            whole(cycles.predicted), "", exact(report.lane_efficiency),
            whole(sum(layer.weight_bits for layer in report.layers))]  # fmt: skip
    head = element("thead", element("tr", *groups, class_="groups"), _line(_LAYER, "col"))
    body = [_layer(report, layer) for layer in report.layers]
    return _scrolled(head, element("tbody", *body), element("tfoot", _line(foot, "row")))


def _layer(report: Report, layer: Layer) -> Markup:
    slow = layer.name in slowest(report)
    missing = unmeasured(report)
    bits, cycles = layer.bits, layer.cycles
    fold = [size for size in (layer.pe, layer.simd) if size is not None]
    name = [layer.name, *([element("span", "sets the pace", class_="mark")] if slow else [])]
    share = busy(report, layer)
    cells = [
        element("td", shape(layer.shape[0])),
        element("td", shape(layer.shape[1])),
        element("td", f"{NOTHING if bits.weights is None else bits.weights}/{bits.input}"),
        element("td", shape(fold), *_pixels(layer.pixels)),
        element("td", whole(layer.lanes)),
        element("td", whole(layer.steps)),
        element("td", whole(layer.writes)),
        *(
            element("td", whole(count), title=missing if count is None else None)
            for count in ((cycles.simulated, cycles.predicted) if cycles else (None, None))
        ),
        _share(share),
        element("td", exact(efficiency(report, layer)) if layer.lanes else ""),
        element("td", whole(layer.weight_bits)),
    ]
    return element("tr", element("th", *name, scope="row"), *cells, class_=classes(slow=slow))


def _pixels(pixels: int) -> list[Markup]:
    return [element("small", f" {pixels} pixels")] if pixels > 1 else []


def resources(report: Report, fpga: Fpga) -> Markup:
    """What every part takes of a device, the whole before and after place and route, and what there is."""
    names = [layer.name for layer in report.layers]
    known = [name for name in names if name in fpga.layers]
    body = [_amounts(name, fpga.layers[name]) for name in [*known, *sorted({*fpga.layers} - {*names})]]
    foot = [
        _amounts("netlist", fpga.total),
        _amounts("estimate", fpga.estimate.total),
        _amounts("placed", fpga.placed),
        _amounts(f"of {fpga.device}", fpga.available),
        _shares(fpga.placed, fpga.available),
    ]
    head = element("thead", _line(["part", *_RESOURCES], "col"))
    return _scrolled(head, element("tbody", *body), element("tfoot", *foot))


def _amounts(name: str, amounts: Resources) -> Markup:
    return _line([name, *(whole(count) for count in astuple(amounts))], "row")


def _shares(placed: Resources, available: Resources) -> Markup:
    pairs = zip(astuple(placed), astuple(available), strict=True)
    cells = [_share(used / most if most else None) for used, most in pairs]
    return element("tr", element("th", "share", scope="row"), *cells)


def _share(share: float | None) -> Markup:
    number = element("span", percent(share), class_="share")
    return element("td", number) if share is None else element("td", bar(share, "busy"), number)


def _line(texts: Sequence[str], scope: str) -> Markup:
    """A row: its heads are all of its cells, or the first."""
    heads = texts if scope == "col" else texts[:1]
    cells = [element("td", text) for text in texts[len(heads) :]]
    return element("tr", *(element("th", text, scope=scope) for text in heads), *cells)


def _scrolled(*parts: Markup) -> Markup:
    """A table that may be wider than a phone: it scrolls alone, with the keys too."""
    return element("div", element("table", *parts), class_="scrolled", tabindex=0, role="group")
