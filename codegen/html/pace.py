"""What follows from the numbers of a report: how busy each layer is, and which one sets the pace."""

from collections.abc import Mapping
from typing import Any

__all__ = ["busy", "cycles_per_image", "differing", "efficiency", "pace", "slowest", "unmeasured", "why"]

Json = Mapping[str, Any]


def cycles_per_image(told: Json) -> float:
    """As simulated where that was done, else as predicted."""
    cycles = told["cycles_per_image"]
    number: float = cycles["predicted"] if cycles["simulated"] is None else cycles["simulated"]
    return number


def busy(told: Json, layer: Json) -> float:
    """The share of all cycles in which a layer takes a step."""
    return float(layer["steps"] / cycles_per_image(told))


def efficiency(told: Json, layer: Json) -> float | None:
    """MACs / (cycles between images x lanes) of one layer; ``None`` without lanes."""
    return layer["macs"] / (cycles_per_image(told) * layer["lanes"]) if layer["lanes"] else None


def pace(told: Json) -> int:
    """Cycles an image of the slowest layer."""
    return max(_own(layer) for layer in told["layers"])


def slowest(told: Json) -> list[str]:
    """The names of the layers that no other is slower than."""
    return [layer["name"] for layer in told["layers"] if _own(layer) == pace(told)]


def why(told: Json) -> str:
    """Who sets the pace and by what, in sentences."""
    least, cycles = pace(told), cycles_per_image(told)
    said = [_reason(layer) for layer in told["layers"] if _own(layer) == least]
    if cycles > least:
        said.append(
            f"Images are {round(cycles - least, 3):,} cycles further apart, as layers wait for each other."
        )
    else:
        said.append(f"No layer waits for another: images are {least:,} cycles apart.")
    return " ".join(said)


def differing(told: Json) -> list[str]:
    """Which cycles were simulated and are not those predicted: of an image, the first result, each layer."""
    cycles = {
        "cycles an image": told["cycles_per_image"],
        "cycles to the first result": told["first_image_latency"],
        **{layer["name"]: layer["cycles"] for layer in told["layers"]},
    }
    return [name for name, one in cycles.items() if one["simulated"] not in (None, one["predicted"])]


def unmeasured(told: Json) -> str:
    """Why no cycles were counted."""
    return "its run was stalled or cut short" if told["images"] else "not simulated yet"


def _own(layer: Json) -> int:
    return int(max(layer["steps"], layer["writes"]))


def _reason(layer: Json) -> str:
    name, steps, writes = layer["name"], layer["steps"], layer["writes"]
    if steps >= writes:
        return f"{name} sets the pace: {steps:,} steps an image; to fill its line buffer takes {writes:,}."
    return f"{name} sets the pace: to fill its line buffer takes {writes:,} cycles; its steps are {steps:,}."
