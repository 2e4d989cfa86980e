"""The page: what a report says, in the order in which a person asks."""

from collections.abc import Iterator
from pathlib import Path

from codegen.program import spelled
from codegen.report.schema import Cycles, Fpga, Report

from . import charts, tables
from .markup import NOTHING, Markup, element, exact, percent, whole
from .pace import differing, unmeasured, why
from .picture import chain

__all__ = ["html"]

_STYLE = Path(__file__).with_name("style.css")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # a browser holds us to it: nothing is fetched


def html(report: Report) -> str:
    """A whole HTML document that shows a report (docs/report.md) and refers to nothing outside itself.

    Every number is the report's or follows from its numbers; what is ``None`` is said not to be measured.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{report.network}: report"),
        element("style", Markup(_STYLE.read_text())),
    )
    body = element("body", element("main", *_sections(report)))
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"


def _sections(report: Report) -> Iterator[Markup]:
    yield element("header", element("h1", report.network), _verdict(report), *_note(report))
    yield element("dl", *(_figure(*figure) for figure in _figures(report)), class_="figures")
    scale = "Boxes are feature maps: height rows, depth columns, width channels, by their square roots."
    yield _section("Network", chain(report), element("p", f"{why(report)} {scale}", class_="key"))
    yield _section("Layers", tables.layers(report), element("p", _LAYER_KEY, class_="key"))
    yield _section("On a device", *_device(report))
    counted = report.histograms
    yield _section("Values", element("p", _counted(counted.images)), charts.histograms(counted))
    rows = [*report.steps, *(report.fpga.steps if report.fpga else [])]
    yield _section("Time and memory", charts.steps(rows))


_LAYER_KEY = (
    "W/A: bits of weights and of the codes that come in. Steps and writes: cycles to compute an image and to "
    "fill the line buffer with it, if nothing holds the layer up. Simulated and predicted: from its first to "
    "its last step on the last image. Busy: steps / cycles between images. Efficiency: MACs / "
    "(cycles between images × lanes)."
)


def _section(title: str, *children: Markup) -> Markup:
    return element("section", element("h2", title), *children)


def _verdict(report: Report) -> Markup:
    """What was compared, and how it ended."""
    images, values, wrong = report.images, report.compared, report.mismatches
    if wrong is None:
        text = "Not simulated yet: all cycles here are predictions, and no value was compared."
        return element("p", text, class_="verdict")
    if wrong:
        text = f"{wrong:,} of {values:,} values in {_images(images)} are not equal to the golden model’s."
    else:
        text = f"All {values:,} values in {_images(images)}, simulated, are equal to the golden model’s."
    late = differing(report)
    if late:
        text += f" Cycles are not as predicted: {', '.join(late)}."
    return element("p", text, class_="verdict bad" if wrong or late else "verdict good")


def _note(report: Report) -> list[Markup]:
    return [] if report.note is None else [element("p", report.note, class_="note")]


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def _figures(report: Report) -> Iterator[tuple[str, str, str]]:
    """The numbers that matter most: name, value, and how it was come by."""
    yield "values compared", whole(report.compared), _compared(report)
    yield "cycles an image", *_cycles(report, report.cycles_per_image)
    yield "cycles to the first result", *_cycles(report, report.first_image_latency)
    how = "predicted" if report.cycles_per_image.simulated is None else "simulated"
    yield "lane efficiency", exact(report.lane_efficiency), f"of {report.lanes:,} lanes, {how}"
    yield "MACs an image", whole(report.macs), f"in {len(report.layers)} layers"
    hardware = report.accuracy.hardware
    yield "accuracy in hardware", percent(None if hardware is None else hardware.share, 2), _accuracy(report)
    fpga = report.fpga
    if fpga is None:
        yield "clock", NOTHING, "not placed on a device yet"
        yield "images a second", NOTHING, "not placed on a device yet"
    else:
        yield "clock", f"{fpga.clock_mhz:.1f} MHz", f"{fpga.device}, as nextpnr estimates it"
        yield "images a second", f"{fpga.images_per_second:,.0f}", f"back to back at that clock{_link(fpga)}"


def _figure(name: str, value: str, how: str) -> Markup:
    return element("div", element("dt", name), element("dd", value), element("dd", how, class_="how"))


def _compared(report: Report) -> str:
    if report.mismatches is None:
        return "not simulated yet"
    ending = f"{report.mismatches:,} not equal" if report.mismatches else "all equal"
    return f"in {_images(report.images)}, {ending}"


def _cycles(report: Report, cycles: Cycles) -> tuple[str, str]:
    if cycles.simulated is None:
        return whole(cycles.predicted), f"predicted, {unmeasured(report)}"
    return whole(cycles.simulated), f"simulated, {whole(cycles.predicted)} predicted"


def _accuracy(report: Report) -> str:
    """Of how many images the accuracy of the hardware is, and those of what it was made of."""
    scores = report.accuracy.measured
    hardware = scores.pop("hardware", None)
    if hardware is not None:
        how = f"of {_images(hardware.images)}"
    else:
        how = "not measured" if report.images else "not simulated yet"
    trained = (f"{name} {percent(score.share, 2)} of {score.images:,}" for name, score in scores.items())
    return ", ".join([how, *trained])


def _device(report: Report) -> Iterator[Markup]:
    fpga = report.fpga
    if fpga is None:
        yield element("p", "Not placed yet: ", element("code", spelled("bitstream")), " does it.")
        return
    clock = f"{fpga.clock_mhz:.1f} MHz on {fpga.device}, as nextpnr estimates it"
    rate, luts = fpga.images_per_second, fpga.placed.luts
    per_area = f", {1000 * rate / luts:,.0f} for each 1,000 LUT4" if luts else ""
    yield element("p", f"{clock}: {rate:,.0f} images a second{per_area}{_link(fpga)}.")
    yield tables.resources(report, fpga)


def _link(fpga: Fpga) -> str:
    """What reaches a board over its serial line, if it has one."""
    rate = fpga.link_images_per_second
    return "" if rate is None else f"; its serial line carries {rate:,.0f}"


def _counted(images: int) -> str:
    return (
        f"How often each value occurs in the golden model, counted over the first {_images(images)}. "
        "A bar is as high as the square root of its count."
    )
