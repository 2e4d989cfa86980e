"""The page: what a report says, in the order in which a person asks."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import charts, tables
from .markup import NOTHING, Markup, element, exact, percent, whole
from .pace import differing, unmeasured, why
from .picture import chain

__all__ = ["html"]

Json = Mapping[str, Any]

_STYLE = Path(__file__).with_name("style.css")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # a browser holds us to it: nothing is fetched


def html(told: Json) -> str:
    """A whole HTML document that shows a report (docs/report.md) and refers to nothing outside itself.

    Every number is the report's or follows from its numbers; what is ``None`` is said not to be measured.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{told['network']}: report"),
        element("style", Markup(_STYLE.read_text())),
    )
    body = element("body", element("main", *_sections(told)))
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"


def _sections(told: Json) -> Iterator[Markup]:
    yield element("header", element("h1", told["network"]), _verdict(told), *_note(told))
    yield element("dl", *(_figure(*figure) for figure in _figures(told)), class_="figures")
    scale = "Boxes are feature maps: height rows, depth columns, width channels, by their square roots."
    yield _section("Network", chain(told), element("p", f"{why(told)} {scale}", class_="key"))
    yield _section("Layers", tables.layers(told), element("p", _LAYER_KEY, class_="key"))
    yield _section("On a device", *_device(told))
    counted = told["histograms"]
    yield _section("Values", element("p", _counted(counted["images"])), charts.histograms(counted))
    rows = [*told["steps"], *(told["fpga"]["steps"] if told["fpga"] else [])]
    yield _section("Time and memory", charts.steps(rows))


_LAYER_KEY = (
    "W/A: bits of weights and of the codes that come in. Steps and writes: cycles to compute an image and to "
    "fill the line buffer with it, if nothing holds the layer up. Simulated and predicted: from its first to "
    "its last step on the last image. Busy: steps / cycles between images. Efficiency: MACs / "
    "(cycles between images × lanes)."
)


def _section(title: str, *children: Markup) -> Markup:
    return element("section", element("h2", title), *children)


def _verdict(told: Json) -> Markup:
    """What was compared, and how it ended."""
    images, values, wrong = told["images"], told["compared"], told["mismatches"]
    if wrong is None:
        text = "Not simulated yet: all cycles here are predictions, and no value was compared."
        return element("p", text, class_="verdict")
    if wrong:
        text = f"{wrong:,} of {values:,} values in {_images(images)} are not equal to the golden model’s."
    else:
        text = f"All {values:,} values in {_images(images)}, simulated, are equal to the golden model’s."
    late = differing(told)
    if late:
        text += f" Cycles are not as predicted: {', '.join(late)}."
    return element("p", text, class_="verdict bad" if wrong or late else "verdict good")


def _note(told: Json) -> list[Markup]:
    return [] if told["note"] is None else [element("p", told["note"], class_="note")]


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def _figures(told: Json) -> Iterator[tuple[str, str, str]]:
    """The numbers that matter most: name, value, and how it was come by."""
    yield "values compared", whole(told["compared"]), _compared(told)
    for key, name in (
        ("cycles_per_image", "cycles an image"),
        ("first_image_latency", "cycles to the first result"),
    ):
        yield name, *_cycles(told, told[key])
    how = "predicted" if told["cycles_per_image"]["simulated"] is None else "simulated"
    yield "lane efficiency", exact(told["lane_efficiency"]), f"of {told['lanes']:,} lanes, {how}"
    yield "MACs an image", whole(told["macs"]), f"in {len(told['layers'])} layers"
    yield "accuracy in hardware", percent(told["accuracy"]["hardware"], 2), _accuracy(told)
    fpga = told["fpga"]
    if fpga is None:
        yield "clock", NOTHING, "not placed on a device yet"
        yield "images a second", NOTHING, "not placed on a device yet"
    else:
        yield "clock", f"{fpga['clock_mhz']:.1f} MHz", f"{fpga['device']}, as nextpnr estimates it"
        yield "images a second", f"{fpga['images_per_second']:,.0f}", "back to back at that clock"


def _figure(name: str, value: str, how: str) -> Markup:
    return element("div", element("dt", name), element("dd", value), element("dd", how, class_="how"))


def _compared(told: Json) -> str:
    if told["mismatches"] is None:
        return "not simulated yet"
    ending = f"{told['mismatches']:,} not equal" if told["mismatches"] else "all equal"
    return f"in {_images(told['images'])}, {ending}"


def _cycles(told: Json, cycles: Json) -> tuple[str, str]:
    if cycles["simulated"] is None:
        return whole(cycles["predicted"]), f"predicted, {unmeasured(told)}"
    return whole(cycles["simulated"]), f"simulated, {whole(cycles['predicted'])} predicted"


def _accuracy(told: Json) -> str:
    """How the accuracy of the hardware was come by, and those of what it was made of."""
    shares = told["accuracy"]
    if shares["hardware"] is not None:
        how = f"in {_images(told['images'])}"
    else:
        how = "not measured" if told["images"] else "not simulated yet"
    trained = (
        f"{name} {percent(shares[name], 2)}" for name in ("teacher", "student") if shares[name] is not None
    )
    return ", ".join([how, *trained])


def _device(told: Json) -> Iterator[Markup]:
    fpga = told["fpga"]
    if fpga is None:
        yield element("p", "Not placed yet: ", element("code", "python -m codegen bitstream"), " does it.")
        return
    clock = f"{fpga['clock_mhz']:.1f} MHz on {fpga['device']}, as nextpnr estimates it"
    rate, luts = fpga["images_per_second"], fpga["placed"]["luts"]
    per_area = f", {1000 * rate / luts:,.0f} for each 1,000 LUT4" if luts else ""
    yield element("p", f"{clock}: {rate:,.0f} images a second{per_area}.")
    yield tables.resources(told)


def _counted(images: int) -> str:
    return (
        f"How often each value occurs in the golden model, counted over the first {_images(images)}. "
        "A bar is as high as the square root of its count."
    )
