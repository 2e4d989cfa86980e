"""What a report says, as it is written to ``report.json`` (docs/report.md explains every field).

What only a simulation or place and route can tell is ``None`` until then.
"""

from dataclasses import dataclass

from codegen.fpga.devices import Resources
from codegen.steps import Step

__all__ = [
    "Accuracy",
    "Bits",
    "Cycles",
    "Estimate",
    "Fpga",
    "Histogram",
    "Histograms",
    "Layer",
    "LayerHistograms",
    "Number",
    "Report",
    "Score",
]

Number = int | float


@dataclass(frozen=True)
class Cycles:
    """By the cycle model, and counted in the simulated hardware."""

    predicted: Number
    simulated: Number | None = None


@dataclass(frozen=True)
class Score:
    """How many images are classified right, of how many."""

    correct: int
    images: int

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.correct / self.images


@dataclass(frozen=True)
class Accuracy:
    """All over the same images."""

    teacher: Score | None = None
    student: Score | None = None
    hardware: Score | None = None

    @property
    def measured(self) -> dict[str, Score]:
        """Those that were measured, by name."""
        every = {"teacher": self.teacher, "student": self.student, "hardware": self.hardware}
        return {name: score for name, score in every.items() if score is not None}


@dataclass(frozen=True)
class Bits:
    """Widths in bits."""

    input: int
    weights: int | None
    output: int


@dataclass(frozen=True)
class Layer:
    """One engine: its shape, its fold, its place in time."""

    name: str
    shape: tuple[tuple[int, int, int], tuple[int, int, int]]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    bits: Bits
    macs: int
    pe: int
    simd: int | None
    pixels: int
    lanes: int
    weight_bits: int
    steps: int
    writes: int
    cycles: Cycles | None
    buffer_rows: int
    fifo_depth: int


@dataclass(frozen=True)
class Estimate:
    """What was expected before synthesis."""

    layers: dict[str, Resources]
    total: Resources


@dataclass(frozen=True)
class Fpga:
    """What place and route reached."""

    device: str
    estimate: Estimate
    layers: dict[str, Resources]
    total: Resources
    placed: Resources
    available: Resources
    clock_mhz: float
    seed: int
    images_per_second: float
    link_images_per_second: float | None
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Histogram:
    """Counts of the values from ``low`` to ``high``, ``bin_width`` of them in a bin."""

    low: int
    high: int
    bin_width: int
    counts: tuple[int, ...]


@dataclass(frozen=True)
class LayerHistograms:
    """Of the accumulators of a layer with weights, and of the codes that a layer sends."""

    name: str
    accumulators: Histogram | None
    codes: Histogram | None


@dataclass(frozen=True)
class Histograms:
    """Counted over ``images`` of the golden model."""

    images: int
    input: Histogram
    layers: tuple[LayerHistograms, ...]


@dataclass(frozen=True)
class Report:
    """The report of a build."""

    network: str
    note: str | None
    images: int
    compared: int | None
    mismatches: int | None
    accuracy: Accuracy
    macs: int
    lanes: int
    cycles_per_image: Cycles
    first_image_latency: Cycles
    lane_efficiency: float
    layers: tuple[Layer, ...]
    argmax: str | None
    classes: tuple[str, ...]
    fpga: Fpga | None
    steps: tuple[Step, ...]
    histograms: Histograms
