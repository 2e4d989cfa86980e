"""Folding is solved, not guessed: no fold of small networks beats what comes out, for any budget."""

import re
from collections.abc import Iterator, Sequence
from itertools import product
from math import gcd

import pytest

from codegen import fold as module
from codegen.errors import UserError
from codegen.fold import fold
from codegen.folds import Fold, options, window
from codegen.ir import IntegerNetwork
from codegen.plan import Plan, requantise_forms, size
from codegen.stages import MatrixVectorStage, PoolStage, Stage, fuse
from hw.timing import matrix_vector_timing, pool_timing
from tests.networks import Chain, digits, random_chain, tiny

Engine = MatrixVectorStage | PoolStage

SMALL = {
    "conv pool fc": lambda: tiny(),
    "narrow stream into stride 2": lambda: (
        small((6, 5, 2)).conv("a", 6, (2, 1)).requantise("q", 2).conv("b", 3, (2, 2), stride=(2, 2)).network()
    ),
    "two groups": lambda: (
        small((4, 4, 2))
        .conv("a", 6, (2, 2), groups=2)
        .requantise("q", 2)
        .conv("b", 4, (1, 2), groups=2)
        .network()
    ),
    "nine channels a group": lambda: (
        small((3, 3, 2)).conv("a", 18, (1, 2), groups=2).requantise("q", 1).conv("b", 2, (2, 1)).network()
    ),
    "padding": lambda: (
        small((5, 4, 1))
        .conv("a", 5, padding=(2, 1), stride=(1, 2))
        .requantise("q", 2)
        .conv("b", 2, (2, 1))
        .network()
    ),
    "overlapping pool": lambda: (
        small((5, 5, 4))
        .pool("a", (3, 2), (1, 2))
        .conv("b", 6, (2, 2))
        .requantise("q", 1)
        .pool("c", (2, 1))
        .network()
    ),
    "vector": lambda: small((6,)).linear("a", 7).requantise("q", 2).linear("b", 5).network(),
}


def small(shape: tuple[int, ...]) -> Chain:
    return Chain(0, shape, 2)


def all_folds(stage: Engine) -> Iterator[Fold]:
    """Every fold there is, useful or not."""
    rows = range(1, stage.kernel[0] + 1)
    if isinstance(stage, MatrixVectorStage):
        run = stage.weights.codes.shape[3] * (stage.kernel[1] if stage.groups == 1 else 1)
        pes = range(1, stage.channels // stage.groups + 1)
        yield from (Fold(*lanes) for lanes in product(pes, rows, range(1, run + 1)))
        if stage.groups == 1:
            columns = range(2, stage.result.columns + 1)
            yield from (
                Fold(stage.channels, row, run, pixels=pixels) for row, pixels in product(rows, columns)
            )
        return
    channels = stage.source.channels
    for groups in (groups for groups in range(1, channels + 1) if channels % groups == 0):
        taps = range(1, stage.kernel[1] + 1) if groups == 1 else [1]
        yield from (Fold(1, row, channels // groups * tap, groups) for row, tap in product(rows, taps))


def kinds_of(stage: Engine) -> dict[tuple[int, int, int], int]:
    """(steps, granule, lanes that leave) of the layer's possible folds, and the fewest lanes of each."""
    kinds: dict[tuple[int, int, int], int] = {}
    for one in all_folds(stage):
        try:
            geometry = window(stage, one, stage.source.channels)
            out = _lanes_out(stage, one)
        except ValueError:
            continue  # the hardware has no such fold
        kind = geometry.steps, geometry.granule, out
        cost = one.lanes if isinstance(stage, MatrixVectorStage) else 0
        kinds[kind] = min(cost, kinds.get(kind, cost))
    return kinds


def _lanes_out(stage: Engine, one: Fold) -> int:
    geometry = window(stage, one, stage.source.channels)
    if isinstance(stage, MatrixVectorStage):
        return matrix_vector_timing(geometry, one.pe, stage.channels, 0).lanes
    return pool_timing(geometry).lanes


def best_of_all(stages: Sequence[Engine]) -> dict[int, int]:
    """For each number of lanes that some folding takes, the fewest cycles of all that take so many."""
    best: dict[int, int] = {}
    costs = [kinds_of(stage) for stage in stages]
    for kinds in product(*costs):
        lanes = sum(cost[kind] for cost, kind in zip(costs, kinds, strict=True))
        widths = [stages[0].source.channels, *(out for _, _, out in kinds)]
        pace = max(
            max(steps, _write_cycles(stage, width, granule))
            for stage, width, (steps, granule, _) in zip(stages, widths, kinds, strict=False)
        )
        best[lanes] = min(pace, best.get(lanes, pace))
    return best


def _write_cycles(stage: Engine, width: int, granule: int) -> int:
    """One sub-beat a cycle: as many numbers as divide both what comes in and what is stored at once."""
    return stage.source.rows * stage.source.columns * stage.source.channels // gcd(width, granule)


def engines(stages: Sequence[Stage]) -> list[Engine]:
    return [stage for stage in stages if isinstance(stage, Engine)]


def plan_of(network: IntegerNetwork, budget: int) -> Plan:
    stages = fuse(network)
    return size(network, stages, fold(stages, budget), requantise_forms(stages))


@pytest.mark.parametrize("name", SMALL)
def test_no_fold_is_faster_and_a_rate_takes_the_fewest_lanes(name: str) -> None:
    network = SMALL[name]()
    stages = fuse(network)
    best = best_of_all(engines(stages))
    least = sum(isinstance(stage, MatrixVectorStage) for stage in stages)
    assert min(best) == least
    fastest = min(best.values())
    budget = least
    while True:
        plan = plan_of(network, budget)
        pace = min(cycles for lanes, cycles in best.items() if lanes <= budget)
        lanes = min(lanes for lanes, cycles in best.items() if cycles <= pace)
        note = f"{name}, budget {budget}: {fold(stages, budget)}"
        assert plan.pace == plan.cycles_per_image == pace, note
        assert plan.lanes <= budget, note
        rated = fold(stages, None, pace)
        assert (
            sum(rated[stage.name].lanes for stage in stages if isinstance(stage, MatrixVectorStage)) == lanes
        )
        if pace == fastest:
            return
        budget += 1


@pytest.mark.parametrize("spare", [64, 3])
@pytest.mark.parametrize("name", SMALL)
def test_of_equally_fast_folds_none_needs_less_logic(
    name: str, spare: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those that take at most one lane in ``spare`` more than the fewest."""
    monkeypatch.setattr(module, "SPARE", spare)
    stages = engines(fuse(SMALL[name]()))
    least = sum(isinstance(stage, MatrixVectorStage) for stage in stages)
    for budget in range(least, 4 * least + 3):
        found = []
        for chain in product(*(list(options(stage, budget)) for stage in stages)):
            widths = [stages[0].source.channels, *(one.out_lanes for one in chain)]
            pace = max(
                max(one.steps, _write_cycles(stage, width, one.granule))
                for stage, width, one in zip(stages, widths, chain, strict=False)
            )
            lanes, price = sum(one.lanes for one in chain), sum(one.price for one in chain)
            if lanes <= budget:
                found.append((pace, lanes, price, tuple(one.fold for one in chain)))
        fastest, fewest, *_ = min(found)
        most = min(budget, fewest + fewest // spare)
        equals = [one[2:] for one in found if one[0] == fastest and one[1] <= most]
        chosen = tuple(fold(stages, budget).values())
        assert (min(equals)[0], chosen) in equals, f"{name}, budget {budget}"


BUDGETS = (16, 24, 32, 48, 64, 80, 96, 128, 160, 192, 256, 384, 512)


def test_more_lanes_are_never_slower_and_digits_use_them_well() -> None:
    plans = [plan_of(digits(), budget) for budget in BUDGETS]
    for budget, plan in zip(BUDGETS, plans, strict=True):
        folds = " ".join(f"{layer.fold.pe}x{layer.fold.simd}" for layer in plan.layers if layer.lanes)
        efficiency = plan.lane_efficiency(plan.pace)
        print(f"{budget:4} lanes: {plan.lanes:4} used, {plan.pace:5} cycles, {efficiency:.3f}, {folds}")
    assert all(plan.lanes <= budget for budget, plan in zip(BUDGETS, plans, strict=True))
    assert [plan.pace for plan in plans] == sorted((plan.pace for plan in plans), reverse=True)
    assert plans[0].pace == 1536 and plans[-1].pace == 64  # the input itself takes 64 cycles
    assert min(plan.lane_efficiency(plan.pace) for plan in plans) >= 0.94
    assert plan_of(digits(), 80).lane_efficiency(288) == pytest.approx(21664 / (288 * 76))


def test_lanes_need_not_divide_what_they_share() -> None:
    folds = fold(fuse(digits()), 24)
    assert folds["conv2"] == Fold(4, 1, 5)  # 5 elements at a time of a run of 3 x 8
    assert folds["fc"].lanes == 1
    (conv,) = fuse(Chain(0, (1, 1, 1), 2).conv("conv", 7, (1, 1)).network())
    assert fold([conv], 6)["conv"] == Fold(4, 1, 1)  # 7 output channels by 4 PEs


@pytest.mark.parametrize("seed", range(30))
def test_the_budget_is_kept_and_more_of_it_is_never_slower(seed: int) -> None:
    network = random_chain(seed)
    least = sum(isinstance(stage, MatrixVectorStage) for stage in fuse(network))
    plans = [plan_of(network, least * factor) for factor in (1, 2, 5, 30)]
    assert plans[0].lanes == least
    assert all(plan.lanes <= least * factor for plan, factor in zip(plans, (1, 2, 5, 30), strict=True))
    assert [plan.pace for plan in plans] == sorted((plan.pace for plan in plans), reverse=True)


@pytest.mark.parametrize("budget", [2, 0, -5])
def test_too_few_lanes_are_refused_with_the_least_number(budget: int) -> None:
    message = f"lanes must be at least 3 for these 3 layers, not {budget}"
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        fold(fuse(digits()), budget)


def test_the_least_number_of_lanes_is_enough() -> None:
    folds = fold(fuse(digits()), 3)
    assert [folds[name].lanes for name in ("conv1", "conv2", "fc")] == [1, 1, 1]


def test_a_budget_beyond_all_use_is_not_spent() -> None:
    assert fold(fuse(digits()), 10**9) == fold(fuse(digits()), 512)


def test_a_large_network_is_folded_in_seconds() -> None:
    chain = Chain(0, (8, 8, 32), 1, samples=1)
    for name in "abc":
        chain.conv(name, 256, bits=1, padding=(1, 1)).requantise(f"{name}q", 1)
    network = chain.flatten().linear("fc", 512, bits=1).network()
    stages = fuse(network)
    folds = fold(stages, 2000)
    lanes = sum(one.lanes for one in folds.values())
    pace = max(window(stage, folds[stage.name], stage.source.channels).steps for stage in engines(stages))
    assert lanes <= 2000 and network.macs / (pace * lanes) > 0.95
