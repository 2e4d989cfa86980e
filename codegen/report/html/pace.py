"""What follows from the numbers of a report: how busy each layer is, and which one sets the pace."""

from codegen.report.schema import Layer, Report

__all__ = ["busy", "cycles_per_image", "differing", "efficiency", "pace", "slowest", "unmeasured", "why"]


def cycles_per_image(report: Report) -> float:
    """As simulated where that was done, else as predicted."""
    cycles = report.cycles_per_image
    return cycles.predicted if cycles.simulated is None else cycles.simulated


def busy(report: Report, layer: Layer) -> float:
    """The share of all cycles in which a layer takes a step."""
    return float(layer.steps / cycles_per_image(report))


def efficiency(report: Report, layer: Layer) -> float | None:
    """MACs / (cycles between images x lanes) of one layer; ``None`` without lanes."""
    return layer.macs / (cycles_per_image(report) * layer.lanes) if layer.lanes else None


def pace(report: Report) -> int:
    """Cycles an image of the slowest layer."""
    return max(_own(layer) for layer in report.layers)


def slowest(report: Report) -> list[str]:
    """The names of the layers that no other is slower than."""
    return [layer.name for layer in report.layers if _own(layer) == pace(report)]


def why(report: Report) -> str:
    """Who sets the pace and by what, in sentences."""
    least, cycles = pace(report), cycles_per_image(report)
    said = [_reason(layer) for layer in report.layers if _own(layer) == least]
    if cycles > least:
        said.append(
            f"Images are {round(cycles - least, 3):,} cycles further apart, as layers wait for each other."
        )
    else:
        said.append(f"No layer waits for another: images are {least:,} cycles apart.")
    return " ".join(said)


def differing(report: Report) -> list[str]:
    """Which cycles were simulated and are not those predicted: of an image, the first result, each layer."""
    cycles = {
        "cycles an image": report.cycles_per_image,
        "cycles to the first result": report.first_image_latency,
        **{layer.name: layer.cycles for layer in report.layers},
    }
    found = {name: one for name, one in cycles.items() if one is not None}
    return [name for name, one in found.items() if one.simulated not in (None, one.predicted)]


def unmeasured(report: Report) -> str:
    """Why no cycles were counted."""
    return "its run was stalled or cut short" if report.images else "not simulated yet"


def _own(layer: Layer) -> int:
    return int(max(layer.steps, layer.writes))


def _reason(layer: Layer) -> str:
    name, steps, writes = layer.name, layer.steps, layer.writes
    if steps >= writes:
        return f"{name} sets the pace: {steps:,} steps an image; to fill its line buffer takes {writes:,}."
    return f"{name} sets the pace: to fill its line buffer takes {writes:,} cycles; its steps are {steps:,}."
