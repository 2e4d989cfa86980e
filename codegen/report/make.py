"""The report of a build that was neither simulated nor placed yet."""

from codegen.ir import IntegerNetwork
from codegen.networks import Source
from codegen.plan import LayerPlan, Plan
from codegen.stages import FeatureMap, MatrixVectorStage
from codegen.steps import Steps

from .histograms import Values, histograms
from .schema import Accuracy, Bits, Cycles, Layer, Report, Score

__all__ = ["report", "tidy", "trained_accuracy"]


def report(plan: Plan, source: Source, steps: Steps, values: Values) -> Report:
    """The report of a build.

    ``values``: what every node of the golden model gave for the images that are counted, and "input".
    """
    cycles = plan.cycles_per_image
    return Report(
        network=plan.network,
        note=source.note,
        images=0,
        compared=None,
        mismatches=None,
        accuracy=trained_accuracy(source.network),
        macs=plan.macs,
        lanes=plan.lanes,
        cycles_per_image=Cycles(tidy(cycles)),
        first_image_latency=Cycles(plan.predict(1).first_image_latency),
        lane_efficiency=round(plan.lane_efficiency(cycles), 4),
        layers=tuple(_layer(layer) for layer in plan.layers),
        argmax=None if plan.argmax is None else plan.argmax.name,
        classes=source.network.classes,
        fpga=None,
        steps=tuple(steps.rows),
        histograms=histograms(plan, source.network, values),
    )


def tidy(cycles: float) -> int | float:
    """Cycles as a whole number if they are one, else to a thousandth."""
    return int(cycles) if cycles == int(cycles) else round(cycles, 3)


def trained_accuracy(network: IntegerNetwork) -> Accuracy:
    """What training counted, over all of its held-out images."""
    made = network.provenance
    if made is None or not made.test_images:
        return Accuracy()
    counts = made.teacher_correct, made.student_correct
    return Accuracy(*(None if one is None else Score(one, made.test_images) for one in counts))


def _layer(layer: LayerPlan) -> Layer:
    stage, window = layer.stage, layer.timing.window
    weighted = stage if isinstance(stage, MatrixVectorStage) else None
    return Layer(
        name=stage.name,
        shape=(_shape(stage.source), _shape(stage.result)),
        kernel=stage.kernel,
        stride=stage.stride,
        bits=Bits(stage.source.bits, weighted.weights.bits if weighted else None, layer.format.bits),
        macs=weighted.macs if weighted else 0,
        pe=layer.fold.pe if weighted else window.channels // window.groups,
        simd=layer.fold.simd if weighted else None,
        pixels=layer.fold.pixels,
        lanes=layer.lanes,
        weight_bits=weighted.weights.codes.size * weighted.weights.bits if weighted else 0,
        steps=window.steps,
        writes=window.write_cycles,
        cycles=None,
        buffer_rows=window.buffer_rows,
        fifo_depth=layer.timing.fifo_depth,
    )


def _shape(map: FeatureMap) -> tuple[int, int, int]:
    return map.rows, map.columns, map.channels
