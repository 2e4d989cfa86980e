"""The fastest folds that fit are found: none of all there are is faster, whatever the device has."""

import re
from dataclasses import replace
from itertools import product
from random import Random

import pytest

from codegen.errors import UserError
from codegen.fold import SPARE, Cost, Ledger, fold_within, least_costs
from codegen.folds import Fold, Option, window
from codegen.fpga.devices import DEVICES, Device, Family, Resources
from codegen.fpga.estimate import estimate
from codegen.fpga.fit import check_weights, choices, folds_for, is_enough, misfit
from codegen.ir import IntegerNetwork
from codegen.plan import requantise_forms, size
from codegen.stages import MatrixVectorStage, fuse
from hw.geometry import ceil_div
from tests.codegen.fpga.test_estimate import digits_of
from tests.codegen.test_fold import SMALL, Engine, _lanes_out, _write_cycles, all_folds, engines
from tests.networks import Chain, digits

ENDLESS = Resources(*[1 << 40] * 4)


def every_option(stage: Engine) -> list[Option]:
    """Every fold that the hardware has, useful or not."""
    found = []
    for fold in all_folds(stage):
        try:
            geometry, out = window(stage, fold, stage.source.channels), _lanes_out(stage, fold)
        except ValueError:
            continue
        weighted = isinstance(stage, MatrixVectorStage)
        for made in {fold, replace(fold, logic=weighted)}:
            lanes = fold.lanes if weighted else 0
            found.append(Option(geometry.steps, lanes, geometry.granule, out, 0, made))
    return found


def share(cost: Cost, limit: Cost) -> int:
    return sum((spent << 32) // max(1, most) for spent, most in zip(cost, limit, strict=True))


def every_chain(stages: list[Engine], every: list[list[Option]], ledger: Ledger) -> list[tuple[int, Cost]]:
    """Pace and costs of all chains of folds."""
    found = set()
    for chain in product(*every):
        widths = [stages[0].source.channels, *(one.out_lanes for one in chain)]
        ways = list(enumerate(zip(stages, widths, chain, strict=False)))
        pace = max(
            max(one.steps, _write_cycles(stage, width, one.granule)) for _, (stage, width, one) in ways
        )
        costs = [ledger.of(k, one) for k, (_, _, one) in ways]
        costs += [ledger.entry(k, width, one.granule) for k, (_, width, one) in ways]
        found.add((pace, tuple(map(sum, zip(*costs, strict=True)))))
    return sorted(found)


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("name", [name for name in SMALL if name != "overlapping pool"])
def test_no_fold_of_all_is_faster_within_what_a_device_has(name: str, family: Family) -> None:
    stages, random = fuse(SMALL[name]()), Random(name)
    layers = engines(stages)
    device = replace(next(one for one in DEVICES.values() if one.family is family), has=ENDLESS)
    useful, ledger = choices(stages, requantise_forms(stages), device)
    chains = every_chain(layers, [every_option(stage) for stage in layers], ledger)
    for _ in range(12):
        _, one = random.choice(chains)
        _, two = random.choice(chains)
        limit = tuple(map(min, one, two)) if random.random() < 0.3 else tuple(map(max, one, two))
        fitting = [(pace, cost) for pace, cost in chains if all(map(int.__le__, cost, limit))]
        found = next(fold_within(stages, useful, replace(ledger, limit=limit)), None)
        assert (found is None) == (not fitting), limit
        if found is not None:
            assert found[0] == fitting[0][0], limit
            plan = [
                next(o for o in every if o.fold == found[1][s.name])
                for s, every in zip(layers, useful, strict=True)
            ]
            ((_, cost),) = every_chain(layers, [[one] for one in plan], ledger)
            assert all(map(int.__le__, cost, limit))
            equal = [cost for pace, cost in fitting if pace == found[0]]
            fewest = min(cost[0] for cost in equal)
            near = [cost for cost in equal if cost[0] <= fewest + fewest // SPARE]
            assert share(cost, limit) == min(share(one, limit) for one in near), limit


def test_what_is_chosen_fits_and_nothing_faster_does() -> None:
    network, device = digits(), DEVICES["ecp5-25k"]
    stages = fuse(network)
    forms = requantise_forms(stages)
    pace, folds = next(folds_for(stages, forms, device))
    plan = size(network, stages, folds, forms)
    needed = sum(estimate(plan, device.family).values(), Resources())
    assert is_enough(device, plan) and plan.cycles_per_image == pace
    assert not is_enough(replace(device, has=replace(device.has, luts=needed.luts * 5 // 3 - 2)), plan)
    assert list(folds_for(stages, forms, device, interval=pace - 1)) == []
    paces = [slower for slower, _ in folds_for(stages, forms, device)]
    assert paces == sorted(set(paces)) and paces[0] == pace


def test_products_are_of_logic_where_multipliers_are_short() -> None:
    def chosen(weights: int, codes: int, lanes: int | None = None) -> Fold:
        chain = Chain(0, (8, 8, 4), codes).conv("conv", 32, bits=weights).network()
        _, folds = next(folds_for(fuse(chain), {}, DEVICES["ecp5-25k"], lanes))
        return folds["conv"]

    assert [chosen(8, 8, lanes).logic for lanes in (23, 24)] == [False, True]
    assert [chosen(4, 4, lanes).logic for lanes in (36, 48)] == [False, True]
    assert chosen(8, 8).logic and chosen(8, 8).lanes > 23
    assert not chosen(1, 4).logic and chosen(1, 4).lanes > 2 * 23  # no multiplier at all


def test_lanes_and_a_rate_hold_on_a_device_too() -> None:
    stages = fuse(digits())
    forms, device = requantise_forms(stages), DEVICES["ecp5-85k"]

    def spent(folds: dict[str, Fold]) -> int:
        return sum(folds[stage.name].lanes for stage in stages if isinstance(stage, MatrixVectorStage))

    free, few = (next(folds_for(stages, forms, device, lanes)) for lanes in (None, 20))
    assert spent(few[1]) <= 20 < spent(free[1]) and few[0] > free[0]
    ((pace, slow),) = folds_for(stages, forms, device, interval=few[0])
    assert pace == few[0] and spent(slow) < spent(free[1])


# -- what does not fit -------------------------------------------------------------------------------------


def wide(bits: int) -> IntegerNetwork:
    """2 million weights in one layer."""
    return Chain(0, (2048,), 1, samples=1).linear("fc", 1024, bits=bits).network("wide")


@pytest.mark.parametrize(
    ("bits", "device", "message"),
    [
        (
            8,
            "ecp5-85k",
            "'wide' must fit ecp5-85k, and its weights are 16.8 Mbit where the block RAM holds 3.8 Mbit; "
            "what would fit: weights of 1 bit, about 48% of its width",
        ),
        (
            1,
            "ecp5-25k",
            "'wide' must fit ecp5-25k, and its weights are 2.1 Mbit where the block RAM holds 1.0 Mbit; "
            "what would fit: ecp5-85k, about 70% of its width",
        ),
        (
            1,
            "ice40-up5k",
            "'wide' must fit ice40-up5k, and its weights are 2.1 Mbit where the block RAM holds 122.9 kbit; "
            "what would fit: ecp5-85k, about 24% of its width",
        ),
    ],
)
def test_weights_that_no_device_holds_are_refused_with_what_would_fit(
    bits: int, device: str, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        check_weights("wide", fuse(wide(bits)), DEVICES[device])
    assert str(caught.value) == message


def test_weights_that_a_device_holds_are_not_refused() -> None:
    check_weights("wide", fuse(wide(1)), DEVICES["ecp5-85k"])


def refusal(network: IntegerNetwork, device: Device) -> str:
    stages = fuse(network)
    forms = requantise_forms(stages)
    assert list(folds_for(stages, forms, device)) == []
    return str(misfit("net", stages, forms, device))


def test_what_is_short_is_named_with_what_there_is_and_what_would_fit() -> None:
    device, network = DEVICES["ice40-up5k"], digits_of(8, 6)
    stages = fuse(network)
    every, ledger = choices(stages, requantise_forms(stages), replace(device, has=ENDLESS))
    least = least_costs(stages, every, ledger)[0]
    assert refusal(network, device) == (
        f"'net' must fit what is usable of ice40-up5k, and it takes at least {least:,} LUT4 of 3,168, "
        f"however slow; what would fit: weights of 1 bit or ice40-hx8k"
    )
    small = replace(device, name="small", has=Resources(100, 100, 2, 0))
    told = refusal(digits_of(1, 1), small)
    assert re.fullmatch(
        r"'net' must fit what is usable of small, and it takes at least [\d,]+ LUT4 of 60, \d+ flip-flops of "
        r"60, \d+ blocks of RAM of 1, however slow; what would fit: ice40-up5k",
        told,
    )


def test_resources_that_are_enough_by_themselves_but_not_together() -> None:
    device, stages = DEVICES["ecp5-25k"], fuse(digits())
    every, ledger = choices(stages, requantise_forms(stages), device, 16 * len(stages))
    luts, ffs, memories, multipliers, _ = least_costs(stages, every, ledger)
    logic = (ceil_div(count * 5, 3) for count in (luts, ffs))
    has = Resources(*logic, ceil_div(memories * 10, 9), ceil_div(multipliers * 6, 5))
    assert refusal(digits(), replace(device, has=has)) == (
        "'net' must fit what is usable of ecp5-25k, and what one fold saves of one resource it takes of "
        "another; what would fit: ice40-up5k"
    )
