"""Reports of small builds, as they are after a build, a simulation and place and route."""

from pathlib import Path
from typing import Any

from rich.console import Console

from codegen.files import decoded, encoded
from codegen.fold import fold
from codegen.ir import IntegerNetwork
from codegen.networks import Source
from codegen.plan import Plan, requantise_forms, size
from codegen.report import Report, report
from codegen.report.histograms import traced
from codegen.report.html import html as page_of
from codegen.stages import fuse
from codegen.steps import Steps

Json = dict[str, Any]


def quiet() -> Steps:
    return Steps(Console(quiet=True))


def plan_of(network: IntegerNetwork, lanes: int) -> Plan:
    stages = fuse(network)
    return size(network, stages, fold(stages, lanes), requantise_forms(stages))


def report_of(network: IntegerNetwork, lanes: int) -> Json:
    """The report of a build whose values are counted over four random images."""
    source = Source(network.name, Path("network.safetensors"), network, None)
    values = traced(network, source.sample(4).images, 4)
    told: Json = encoded(report(plan_of(network, lanes), source, quiet(), values))
    return told


def html(told: Json) -> str:
    """The page of a report that was read from JSON."""
    return page_of(decoded(Report, told, ""))


def simulated(told: Json) -> Json:
    """The report after a run of 37 images; every number in it is another one."""
    told["images"], told["compared"], told["mismatches"] = 37, 37_123, 0
    told["accuracy"] = {
        "teacher": {"correct": 34, "images": 37},
        "student": {"correct": 35, "images": 37},
        "hardware": {"correct": 36, "images": 37},
    }
    for key in ("cycles_per_image", "first_image_latency"):
        told[key]["simulated"] = told[key]["predicted"] + 1_001
    for place, layer in enumerate(told["layers"]):
        layer["cycles"] = {"predicted": 7_100 + place, "simulated": 7_200 + place}
    told["steps"] = [
        {"name": "fold", "seconds": 0.25, "peak_rss_bytes": 61_000_000},
        {"name": "simulate", "seconds": 1_234.5, "peak_rss_bytes": 1_987_000_000},
    ]
    return told


def placed(told: Json) -> Json:
    """The report after place and route; a part more than there are layers."""
    names = [*(layer["name"] for layer in told["layers"]), "between"]
    told["fpga"] = {
        "device": "ecp5-1k",
        "layers": {name: _amounts(2_000 + 10 * place) for place, name in enumerate(names)},
        "estimate": {"layers": {"fc": _amounts(9_000)}, "total": _amounts(9_900)},
        "total": _amounts(10_000),
        "placed": _amounts(11_000),
        "available": {"luts": 22_000, "ffs": 44_000, "memories": 55_000, "multipliers": 0},
        "clock_mhz": 123.44,
        "seed": 1,
        "images_per_second": 642_687.4,
        "link_images_per_second": None,
        "steps": [{"name": "place", "seconds": 88.8, "peak_rss_bytes": 444_000_000}],
    }
    return told


def _amounts(first: int) -> Json:
    return dict(zip(("luts", "ffs", "memories", "multipliers"), range(first, first + 4), strict=True))
