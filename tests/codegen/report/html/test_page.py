"""The page shows what the report says, all of it escaped, and refers to nothing outside itself."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.networks import digits, random_chain

from ..reports import Json, html, placed, report_of, simulated
from .document import Node, read

HOSTILE = """"><script>alert(1)</script><img src=x onerror='a'>&lt;"""
LAYER = ("layer", "in", "out", "W/A", "PE × SIMD", "lanes", "steps", "writes", "simulated", "predicted",
         "busy", "efficiency", "weight bits")  # fmt: skip


def built() -> Json:
    return report_of(digits(), 80)


def whole() -> Json:
    return placed(simulated(built()))


STATES = {
    "built": built,
    "simulated": lambda: simulated(built()),
    "placed": lambda: placed(built()),
    "both": whole,
}


def section(page: Node, title: str) -> Node:
    return next(one for one in page.all("section") if [head.text for head in one.all("h2")] == [title])


def figures(page: Node) -> dict[str, tuple[str, str]]:
    """The large numbers by their names."""
    rows = ([*box.all("dt"), *box.all("dd")] for box in page.one("dl").all("div"))
    return {name.text: (value.text, how.text) for name, value, how in rows}


def table(page: Node, title: str) -> list[list[str]]:
    return section(page, title).one("table").rows()


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
@pytest.mark.parametrize("make", [digits, *(lambda seed=seed: random_chain(seed) for seed in range(6))])
def test_pages_are_well_formed(make: Callable[[], Any], state: Callable[[], Json]) -> None:
    told = report_of(make(), 40)
    if state is not built:
        told = placed(simulated(told))
    page = read(html(told))
    assert page.one("html").attributes["lang"] == "en" and len(page.all("h1")) == 1
    for one in page.all("table"):
        widths = {
            sum(int(cell.attributes.get("colspan") or 1) for cell in row.children if isinstance(cell, Node))
            for row in one.all("tr")
        }
        assert len(widths) == 1, one.text
    for picture in page.all("svg"):
        assert picture.attributes.get("role") == "img" and picture.all("title")
    assert all(head.attributes.get("scope") for head in page.all("th"))


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_nothing_outside_is_referred_to(state: Callable[[], Json]) -> None:
    text = html(state())
    for sign in ("http:", "https:", "//", "url(", "src=", "href", "@import", "<script", "<link", "<iframe"):
        assert sign not in text, sign
    policies = [one.attributes.get("content") for one in read(text).all("meta")]
    assert "default-src 'none'; style-src 'unsafe-inline'" in policies


def test_the_large_numbers() -> None:
    told = whole()
    assert figures(read(html(told))) == {
        "values compared": ("37,123", "in 37 images, all equal"),
        "cycles an image": ("1,289", "simulated, 288 predicted"),
        "cycles to the first result": ("1,886", "simulated, 885 predicted"),
        "lane efficiency": ("0.990", "of 76 lanes, simulated"),
        "MACs an image": ("21,664", "in 4 layers"),
        "accuracy in hardware": ("97.30 %", "of 37 images, teacher 91.89 % of 37, student 94.59 % of 37"),
        "clock": ("123.4 MHz", "ecp5-1k, as nextpnr estimates it"),
        "images a second": ("642,687", "back to back at that clock"),
    }


def test_what_nobody_measured_is_not_shown() -> None:
    page = read(html(built()))
    assert figures(page) == {
        "values compared": ("–", "not simulated yet"),
        "cycles an image": ("288", "predicted, not simulated yet"),
        "cycles to the first result": ("885", "predicted, not simulated yet"),
        "lane efficiency": ("0.990", "of 76 lanes, predicted"),
        "MACs an image": ("21,664", "in 4 layers"),
        "accuracy in hardware": ("–", "not simulated yet"),
        "clock": ("–", "not placed on a device yet"),
        "images a second": ("–", "not placed on a device yet"),
    }
    verdict = "Not simulated yet: all cycles here are predictions, and no value was compared."
    assert page.one("p", "verdict").text == verdict
    for row in table(page, "Layers")[1:-1]:
        assert dict(zip(LAYER, row, strict=True))["simulated"] == "–"
    text = section(page, "On a device").one("p").text
    assert text == "Not placed yet: python -m codegen bitstream does it."


def test_a_run_with_stalls_has_no_cycles() -> None:
    told = built() | {"images": 3, "compared": 50, "mismatches": 0}
    shown = figures(read(html(told)))
    assert shown["cycles an image"] == ("288", "predicted, its run was stalled or cut short")
    assert shown["accuracy in hardware"] == ("–", "not measured")


@pytest.mark.parametrize(
    ("images", "mismatches", "text", "kind"),
    [
        (2, 0, "All 1,400 values in 2 images, simulated, are equal to the golden model’s.", "good"),
        (1, 1_003, "1,003 of 1,400 values in 1 image are not equal to the golden model’s.", "bad"),
    ],
)
def test_the_verdict(images: int, mismatches: int, text: str, kind: str) -> None:
    told = built() | {"images": images, "compared": 1_400, "mismatches": mismatches}
    page = read(html(told))
    assert page.one("p", kind).text == text
    ending = "1,003 not equal" if mismatches else "all equal"
    assert figures(page)["values compared"][1].endswith(ending)


def test_cycles_that_are_not_as_predicted() -> None:
    told = built() | {"images": 2, "compared": 1_400, "mismatches": 0}
    told["cycles_per_image"]["simulated"] = 288
    for row in told["layers"]:
        row["cycles"] = {"predicted": 288, "simulated": 288}
    told["first_image_latency"]["simulated"] = 885
    assert read(html(told)).one("p", "verdict").attributes["class"] == "verdict good"
    told["layers"][1]["cycles"]["simulated"] = 289
    told["cycles_per_image"]["simulated"] = told["first_image_latency"]["simulated"] = 290
    assert read(html(told)).one("p", "bad").text == (
        "All 1,400 values in 2 images, simulated, are equal to the golden model’s. Cycles are not as "
        "predicted: cycles an image, cycles to the first result, conv2."
    )


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_the_table_of_layers_is_the_reports(state: Callable[[], Json]) -> None:
    told = state()
    head, *rows, foot = table(read(html(told)), "Layers")
    assert tuple(head) == LAYER
    assert rows == list(_expected_rows(told))
    cycles = [told["cycles_per_image"][key] for key in ("simulated", "predicted")]
    numbers = [f"{number:,}" if number is not None else "–" for number in cycles]
    assert foot == [
        "accelerator", "", "", "", "", "76", "", "", *numbers, "", "0.990",
        f"{8 * 9 * 8 + 16 * 72 * 4 + 10 * 64 * 8:,}",
    ]  # fmt: skip


def _expected_rows(told: Json) -> Iterator[list[str]]:
    interval = told["cycles_per_image"]["simulated"] or told["cycles_per_image"]["predicted"]
    for row in told["layers"]:
        slow = row["name"] in ("conv1", "conv2")
        cycles = [row["cycles"] and row["cycles"][key] for key in ("simulated", "predicted")]
        yield [
            row["name"] + ("sets the pace" if slow else ""),
            "{}×{}×{}".format(*row["shape"][0]),
            "{}×{}×{}".format(*row["shape"][1]),
            f"{row['bits']['weights'] or '–'}/{row['bits']['input']}",
            f"{row['pe']}×{row['simd']}" if row["simd"] else f"{row['pe']}",
            f"{row['lanes']}",
            f"{row['steps']}",
            f"{row['writes']}",
            *(f"{number:,}" if number is not None else "–" for number in cycles),
            f"{100 * row['steps'] / interval:.1f} %",
            f"{row['macs'] / interval / row['lanes']:.3f}" if row["lanes"] else "",
            f"{row['weight_bits']:,}",
        ]


def test_pixels_at_once_are_told() -> None:
    told = built()
    told["layers"][1]["pixels"] = 2
    cells = [row[4] for row in table(read(html(told)), "Layers")]
    assert cells == ["PE × SIMD", "1×9", "8×8 2 pixels", "1", "1×3", ""]


def test_the_table_of_a_device_is_the_reports() -> None:
    told = whole()
    fpga = told["fpga"]
    _, *rows, share = table(read(html(told)), "On a device")
    parts = fpga["layers"] | {"netlist": fpga["total"], "estimate": fpga["estimate"]["total"]}
    parts["placed"] = fpga["placed"]
    parts["of ecp5-1k"] = fpga["available"]
    assert rows == [[name, *(f"{number:,}" for number in part.values())] for name, part in parts.items()]
    assert share == ["share", "50.0 %", "25.0 %", "20.0 %", "–"]
    first = section(read(html(told)), "On a device").one("p").text
    assert first == (
        "123.4 MHz on ecp5-1k, as nextpnr estimates it: 642,687 images a second, 58,426 for each 1,000 LUT4."
    )


def test_a_board_has_two_rates() -> None:
    told = placed(report_of(digits(), 80))
    assert "serial line" not in html(told)
    told["fpga"]["link_images_per_second"] = 1428.571
    assert html(told).count("its serial line carries 1,429") == 2


def test_steps_of_the_run_and_of_place_and_route() -> None:
    page = read(html(whole()))
    assert [[cell for cell in row if cell] for row in table(page, "Time and memory")] == [
        ["step", "seconds", "peak MB"],
        ["fold", "0.2", "61"],
        ["simulate", "1,234.5", "1,987"],
        ["place", "88.8", "444"],
        ["all", "1,323.5"],
    ]
    bars = [bar.one("i").attributes["style"] for bar in section(page, "Time and memory").all("span", "bar")]
    assert bars == [
        f"width:{width:.2f}%" for width in (25 / 1234.5, 6100 / 1987, 100, 100, 8880 / 1234.5, 44400 / 1987)
    ]


def test_every_text_is_escaped() -> None:
    plain, hostile = whole() | {"note": "n"}, whole() | {"note": HOSTILE}
    hostile["network"] = hostile["argmax"] = hostile["fpga"]["device"] = HOSTILE
    for row in (*hostile["layers"], *hostile["histograms"]["layers"], *hostile["steps"]):
        row["name"] = HOSTILE + row["name"]
    parts = hostile["fpga"]["layers"]
    hostile["fpga"]["layers"] = {HOSTILE + name: parts[name] for name in parts}
    expected, page = read(html(plain)), read(html(hostile))
    assert _tags(page) == _tags(expected)
    assert page.one("h1").text == page.one("p", "note").text == HOSTILE
    assert page.all("title")[0].text == f"{HOSTILE}: report"


def _tags(node: Node) -> list[Any]:
    """The elements and the names of their attributes."""
    inner = [_tags(child) for child in node.children if isinstance(child, Node)]
    return [node.tag, sorted(node.attributes), inner]


def test_every_number_on_the_page_is_known() -> None:
    """Each is one of the report's, as it stands there or in percent, or a sum or ratio that is made here."""
    told = whole()
    known = {one for number in _numbers(told) for one in _written(number)}
    interval, layers = told["cycles_per_image"]["simulated"], told["layers"]
    known |= {f"{row['steps'] / interval:.1%}"[:-1] for row in layers}
    known |= {f"{100 * score['correct'] / 37:.2f}" for score in told["accuracy"].values()}
    known |= {f"{row['macs'] / interval / row['lanes']:.3f}" for row in layers if row["lanes"]}
    for counted in _histograms(told["histograms"]):
        counts = counted["counts"]
        known |= {f"{counts[end] / sum(counts):.1%}"[:-1] for end in (0, -1)}
    known |= {f"{number:,}" for number in (len(layers), sum(row["weight_bits"] for row in layers))}
    known |= {"1,323.5", "50.0", "25.0", "20.0", "58,426", "1,000"}  # seconds, shares of the device, by area
    known |= {f"{interval - max(row['steps'] for row in layers):,}"}
    shown = set()
    for line in read(html(told)).one("body").lines:
        text = line
        for name in {row["name"] for row in layers} | {"LUT4", "ecp5-1k"}:
            text = text.replace(name, "")
        shown |= set(re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", text))
    assert len(shown) > 100 and shown <= known, shown - known


def _numbers(told: Any) -> Iterator[float]:
    if isinstance(told, dict):
        told = list(told.values())
    if isinstance(told, list):
        for one in told:
            yield from _numbers(one)
    elif isinstance(told, int | float):
        yield told


def _written(number: float) -> Iterator[str]:
    for style in (",", ",.0f", ",.1f", ".3f"):
        yield format(abs(number), style)
    yield f"{100 * number:.2f}"
    yield f"{number / 1e6:,.0f}"


def _histograms(told: Json) -> list[Json]:
    found = [row[kind] for row in told["layers"] for kind in ("accumulators", "codes")]
    return [told["input"], *(one for one in found if one is not None)]


def test_all_that_set_the_pace_are_marked() -> None:
    told = built()
    assert [row["steps"] for row in told["layers"]] == [288, 288, 256, 220]
    page = read(html(told))
    assert [one.one("b").text for one in page.all("li", "slow")] == ["conv1", "conv2"]
    assert [one.one("th").text for one in page.all("tr", "slow")] == [
        "conv1sets the pace", "conv2sets the pace",
    ]  # fmt: skip
    assert (
        section(page, "Network")
        .one("p")
        .text.startswith(
            "conv1 sets the pace: 288 steps an image; to fill its line buffer takes 64. "
            "conv2 sets the pace: 288 steps an image; to fill its line buffer takes 288. "
            "No layer waits for another: images are 288 cycles apart. "
        )
    )


def test_a_layer_may_be_slow_to_fill_and_others_may_wait() -> None:
    told = built()
    told["layers"][2]["writes"] = 300
    told["cycles_per_image"]["predicted"] = 302.333
    page = read(html(told))
    assert [one.one("b").text for one in page.all("li", "slow")] == ["pool"]
    assert (
        section(page, "Network")
        .one("p")
        .text.startswith(
            "pool sets the pace: to fill its line buffer takes 300 cycles; its steps are 256. "
            "Images are 2.333 cycles further apart, as layers wait for each other. "
        )
    )


def test_the_picture_tells_shapes_bits_and_kinds() -> None:
    told = built()
    told["layers"][0]["stride"], told["layers"][1]["stride"] = [2, 1], [2, 2]
    items = read(html(told)).one("ol").all("li")
    assert [[line for line in item.lines if line != "sets the pace"] for item in items] == [
        ["what goes in", "input", "8×8×1"],
        ["4 bits come in", "4 bit", "conv1", "6×6×8", "conv 3×3, stride 2×1", "8-bit weights"],
        ["4 bits come in", "4 bit", "conv2", "4×4×16", "conv 3×3, stride 2", "4-bit weights"],
        ["4 bits come in", "4 bit", "pool", "2×2×16", "max pool 2×2, stride 2"],
        ["4 bits come in", "4 bit", "fc", "1×1×10", "fully connected", "8-bit weights"],
        ["18 bits come in", "18 bit", "argmax", "class, one of 10"],
    ]
    assert [len(item.all("line")) for item in items] == [1, 2, 2, 2, 2, 1]


def test_boxes_are_as_large_as_the_square_roots() -> None:
    boxes = [_front(item) for item in read(html(built())).one("ol").all("li")]
    shapes = [(8, 1), (6, 8), (4, 16), (2, 16), (1, 10)]
    for (height, width), (rows, channels) in zip(boxes, shapes, strict=False):
        assert height == pytest.approx(12 * rows**0.5, abs=0.11)  # pixels, written with one digit
        assert width == pytest.approx(12 * channels**0.5, abs=0.11)


def _front(item: Node) -> tuple[float, float]:
    """Height and width of the front of a box."""
    corners = item.one("polygon", "front").attributes["points"] or ""
    (left, top), (right, _), (_, bottom), _ = (map(float, one.split(",")) for one in corners.split())
    return bottom - top, right - left


def test_a_network_that_ends_in_a_map_has_no_class() -> None:
    items = read(html(built() | {"argmax": None})).one("ol").all("li")
    assert [len(item.all("line")) for item in items] == [1, 2, 2, 2, 1]


def test_bars_are_the_square_roots_of_the_counts() -> None:
    told = built()
    page = section(read(html(told)), "Values")
    paths = [figure.one("path").attributes["d"] or "" for figure in page.all("figure")]
    expected = _histograms(told["histograms"])
    assert len(paths) == len(expected) == 7
    for path, counted in zip(paths, expected, strict=True):
        counts = counted["counts"]
        bars = re.findall(r"M([\d.]+) 100V([\d.]+)H([\d.]+)V100Z", path)
        assert "".join(f"M{start} 100V{top}H{end}V100Z" for start, top, end in bars) == path
        assert [int(float(start)) for start, _, _ in bars] == list(np.flatnonzero(counts))
        heights = [100 * (count / max(counts)) ** 0.5 for count in counts if count]
        assert [100 - float(top) for _, top, _ in bars] == pytest.approx(heights, abs=0.051)


def test_captions_of_histograms() -> None:
    told = built()
    told["histograms"] = {
        "images": 1,
        "input": {"low": 0, "high": 3, "bin_width": 1, "counts": [1, 5, 0, 2]},
        "layers": [
            {
                "name": "a",
                "accumulators": {"low": -1_300, "high": 2_002, "bin_width": 1_111, "counts": [1, 2, 3]},
                "codes": {"low": 0, "high": 95, "bin_width": 48, "counts": [2, 1]},
            },
            {
                "name": "b",
                "accumulators": {"low": -1, "high": 1, "bin_width": 1, "counts": [1, 2, 3]},
                "codes": None,
            },
        ],
    }
    page = section(read(html(told)), "Values")
    assert [[span.text for span in one.all("span")] for one in page.all("figcaption")] == [
        ["0", "codes, 12.5 % zero, 25.0 % highest", "3"],
        ["−1,300", "accumulators, bars of 1,111", "2,002"],
        ["0", "codes, bars of 48", "95"],
        ["−1", "accumulators", "1"],
    ]
    assert "counted over the first 1 image." in page.one("p").text
