"""From a network and a budget to a plan: the passes that decide, and the budgets that are refused."""

from collections.abc import Iterator, Mapping, Sequence

from codegen.errors import UserError

from .budget import Budget
from .fold import TooSlow, fold, least_lanes
from .fpga.devices import Device
from .fpga.fit import check_weights, folds_for, is_enough, misfit
from .networks import Source
from .plan import Plan, requantise_forms, size
from .plan_file import Choices, read_bounds, read_plan
from .requantise import Form
from .stages import Bounds, MatrixVectorStage, Stage, fuse
from .steps import Steps

__all__ = ["make_plan"]


def make_plan(source: Source, budget: Budget, steps: Steps) -> Plan:
    """The passes that decide: what each does is its own docstring.

    Raises ``UserError`` with the nearest budget that is possible for one that is not.
    """
    network = source.network
    with steps.step("fuse", "operations become stages"):
        stages = fuse(network, _bounds(budget))
        _check_memory(network.name, stages, budget)
        if budget.device is not None:
            check_weights(network.name, stages, budget.device)
    with steps.step("prove", "requantisation, equal over every reachable sum"):
        forms = requantise_forms(stages)
    choices = _choices(network.name, stages, forms, budget)
    while True:
        with steps.step("fold", _fold_text(budget)):
            folds, sizes = next(choices)
        with steps.step("size", "line buffers and FIFOs, by the cycle model"):
            plan = size(network, stages, folds, forms, sizes)
        if budget.device is None or is_enough(budget.device, plan):
            break  # else the next slower folds: more rows of memory than planned with did not fit
    _check_plan(plan, budget)
    return plan


def _bounds(budget: Budget) -> Bounds:
    """What is asked for, or what the plan that is given was made for: the wider."""
    if budget.plan is None or budget.bounds is Bounds.TYPE:
        return budget.bounds
    return read_bounds(budget.plan)


def _fold_text(budget: Budget) -> str:
    if budget.plan is not None:
        return f"PEs and SIMD lanes as in {budget.plan}"
    most = "as few as it takes" if budget.lanes is None else f"at most {budget.lanes:,}"
    if budget.device is not None:
        most = f"that fit {budget.device.name}" + (f", {most}" if budget.lanes is not None else "")
    return f"PEs and SIMD lanes, {most}"


def _choices(
    name: str, stages: Sequence[Stage], forms: Mapping[str, Form], budget: Budget
) -> Iterator[Choices]:
    """Folds and sizes to try, the best first. Raises ``UserError`` where there are no more."""
    try:
        if budget.plan is not None:
            yield read_plan(budget.plan, stages)
        elif budget.device is None:
            yield fold(stages, budget.lanes, budget.interval), {}
        else:
            yield from _device_choices(name, stages, forms, budget, budget.device)
    except TooSlow as error:
        raise UserError(f"{error}; the nearest that is possible is {budget.rate(error.pace)}") from error


def _device_choices(
    name: str, stages: Sequence[Stage], forms: Mapping[str, Form], budget: Budget, device: Device
) -> Iterator[Choices]:
    least_lanes(stages, budget.lanes)
    for _, folds in folds_for(stages, forms, device, budget.lanes, budget.interval):
        yield folds, {}
    fastest = next(folds_for(stages, forms, device, budget.lanes), None)
    if budget.interval is None or fastest is None:
        raise misfit(name, stages, forms, device)
    pace, _ = fastest
    raise TooSlow(
        f"cycles an image must be at least {pace:,} on {device.name}, not {budget.interval:,}", pace
    )


def _check_memory(name: str, stages: Sequence[Stage], budget: Budget) -> None:
    """Weights that cannot fit are refused before anything is planned, with the widths that would fit."""
    sizes = [
        (stage.weights.codes.size, stage.weights.bits)
        for stage in stages
        if isinstance(stage, MatrixVectorStage)
    ]
    bits = sum(size * width for size, width in sizes)
    if budget.memory is None or bits <= budget.memory:
        return
    count = sum(size for size, _ in sizes)
    width = budget.memory // count
    advice = (
        f"weights of {width} bits would fit" if width else f"even {count:,} one-bit weights would not fit"
    )
    raise UserError(
        f"memory on chip must hold the {bits:,} bits of weights of '{name}', not only {budget.memory:,}; "
        f"{advice}"
    )


def _check_plan(plan: Plan, budget: Budget) -> None:
    if budget.memory is not None and plan.memory > budget.memory:
        raise UserError(
            f"memory on chip must hold the {plan.memory:,} bits of weights, line buffers and FIFOs of "
            f"'{plan.network}', not only {budget.memory:,}"
        )
    if budget.interval is not None and plan.cycles_per_image > budget.interval:
        raise UserError(
            f"an image must be done in {budget.rate(budget.interval)}, and layers that wait for each other "
            f"make it {budget.rate(plan.cycles_per_image)}; ask for a little more than you need"
        )
