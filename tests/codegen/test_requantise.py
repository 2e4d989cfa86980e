"""The hardware forms of requantisation: exact, smallest, and proved by a proof that finds every mutation."""

import dataclasses
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codegen import requantise as module
from codegen.errors import UserError
from codegen.ir import Requantise
from codegen.requantise import (
    RequantiseError,
    ScaleForm,
    ScaleRoom,
    ThresholdForm,
    loadable_form,
    prove,
    scale_form,
    threshold_form,
    thresholds,
)


def _law(op: Requantise, acc: int, channel: int = 0) -> int:
    """The definition by fractions, sharing nothing with the code under test."""
    alpha, beta = int(op.alpha.flat[channel % op.alpha.size]), int(op.beta.flat[channel % op.beta.size])
    divisor = (2**op.weight_bits - 1) * 2**op.fraction
    rounded = math.floor(Fraction(alpha * acc + beta, divisor) + Fraction(1, 2))
    return min(max(rounded, 0), 2**op.bits - 1)


def _scale_code(form: ScaleForm, acc: int, channel: int = 0) -> int:
    shifted = (form.multiplier[channel] * acc + form.offset[channel]) >> form.shift
    return min(max(shifted, 0), 2**form.bits - 1)


def _threshold_code(form: ThresholdForm, acc: int, channel: int = 0) -> int:
    return sum(1 for threshold in form.thresholds[channel] if acc >= threshold)


def _smallest(op: Requantise, low: int, high: int) -> tuple[int, int, int]:
    """Shift, multiplier and offset by trying all: no corner, no slope, no Newton."""
    codes, top = [(acc, _law(op, acc)) for acc in range(low, high + 1)], 2**op.bits - 1
    for shift in range(40):
        for multiplier in range((top + 1) * 2**shift + 1):
            least = max(
                ((code << shift) - multiplier * acc for acc, code in codes if code > 0), default=-math.inf
            )
            most = min(
                ((code + 1 << shift) - multiplier * acc - 1 for acc, code in codes if code < top),
                default=math.inf,
            )
            if least <= most:
                return shift, multiplier, int(min(max(0, least), most))
    raise AssertionError("there is always one")


NASTY_ALPHA = [
    1,
    2,
    3,
    7,
    8,
    9,
    31,
    127,
    128,
    129,
    251,
    65535,
    65536,
    65537,
    (1 << 31) - 1,
    (1 << 62) + 1,
    (1 << 63) - 1,
]
NASTY_BETA = [0, 1, -1, 255, -32768, 32767, 1 << 40, -(1 << 40), (1 << 63) - 1, -(1 << 63)]

operations = st.builds(
    Requantise,
    alpha=st.one_of(st.integers(1, 300), st.sampled_from(NASTY_ALPHA)).map(np.array),
    beta=st.one_of(st.integers(-3000, 3000), st.sampled_from(NASTY_BETA)).map(np.array),
    weight_bits=st.integers(1, 8),
    fraction=st.one_of(st.integers(0, 12), st.just(62)),
    bits=st.integers(1, 8),
)
ranges = st.tuples(st.integers(-400, 400), st.integers(0, 600)).map(lambda pair: (pair[0], sum(pair)))
_TIE = Requantise(np.array(1), np.array(-6), 2, 2, 3)  # d = 12: every half is an exact tie


@given(op=operations, ends=ranges)
@example(op=_TIE, ends=(-100, 200))
@example(op=Requantise(np.array(5), np.array(0), 8, 0, 8), ends=(-500, 500))
@example(op=Requantise(np.array(1), np.array(0), 1, 0, 1), ends=(0, 0))
def test_forms_equal_the_law_everywhere(op: Requantise, ends: tuple[int, int]) -> None:
    """Law: A hardware form needs a proof."""
    scale, rows = scale_form(op, *ends), threshold_form(op, *ends)
    acc = np.arange(ends[0], ends[1] + 1)
    expected = [_law(op, one) for one in acc.tolist()]
    assert [_scale_code(scale, one) for one in acc.tolist()] == expected == scale.apply(acc).tolist()
    assert [_threshold_code(rows, one) for one in acc.tolist()] == expected == rows.apply(acc).tolist()
    prove(op, scale, *ends)
    prove(op, rows, *ends)


@given(op=operations)
def test_thresholds_are_the_first_to_reach_each_level(op: Requantise) -> None:
    for level, first in enumerate(thresholds(op, 0), start=1):
        assert _law(op, first) >= level > _law(op, first - 1)


@settings(max_examples=60)
@given(
    op=st.builds(
        Requantise,
        alpha=st.integers(1, 60).map(np.array),
        beta=st.integers(-300, 300).map(np.array),
        weight_bits=st.integers(1, 4),
        fraction=st.integers(0, 5),
        bits=st.integers(1, 3),
    ),
    ends=st.tuples(st.integers(-30, 10), st.integers(0, 50)).map(lambda pair: (pair[0], sum(pair))),
)
def test_scale_form_is_the_smallest(op: Requantise, ends: tuple[int, int]) -> None:
    form = scale_form(op, *ends)
    assert (form.shift, form.multiplier[0], form.offset[0]) == _smallest(op, *ends)


@given(op=operations, ends=ranges)
def test_a_scale_of_the_shift_that_is_loaded_is_always_found(op: Requantise, ends: tuple[int, int]) -> None:
    """Law: A hardware form needs a proof."""
    form = scale_form(op, *ends, ScaleRoom.over(*ends).shift)
    assert form.shift == ScaleRoom.over(*ends).shift
    prove(op, form, *ends)


@given(op=operations, ends=ranges)
def test_a_form_to_be_loaded_is_proven_and_fits_or_is_refused(op: Requantise, ends: tuple[int, int]) -> None:
    try:
        form = loadable_form(op, *ends)
    except RequantiseError:
        assert op.bits > 4
        # In units of a code, more than all levels within 1/65,536 of the range.
        assert Fraction(int(op.alpha), op.divisor) * max(abs(ends[0]), abs(ends[1])) > 2**22
        return
    prove(op, form, *ends)
    if isinstance(form, ScaleForm):
        (_, top), (least, most) = ScaleRoom.over(*ends).ends
        assert max(form.multiplier) <= top and least <= min(form.offset) and max(form.offset) <= most


WIDE = (-(1 << 27), (1 << 27) - 1)  # more than is tried one by one


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("weight_bits", range(1, 9))
def test_all_widths_over_wide_ranges(weight_bits: int, bits: int) -> None:
    """Law: A hardware form needs a proof."""
    rng = np.random.default_rng([weight_bits, bits])
    for fraction, alpha in ((0, 1), (10, 1), (10, 37), (24, 4095), (24, 4096), (24, 4097)):
        beta = int(rng.integers(-(1 << 20), 1 << 20))
        op = Requantise(np.array(alpha), np.array(beta), weight_bits, fraction, bits)
        scale, rows = scale_form(op, *WIDE), threshold_form(op, *WIDE)
        prove(op, scale, *WIDE)
        prove(op, rows, *WIDE)
        for first in rows.thresholds[0]:
            for acc in (first - 1, first):
                if WIDE[0] <= acc <= WIDE[1]:
                    assert _scale_code(scale, acc) == _threshold_code(rows, acc) == _law(op, acc)


@pytest.mark.parametrize(
    "ends", [(-(1 << 61), (1 << 61) - 1), (-(1 << 61), -(1 << 61)), ((1 << 61) - 1,) * 2]
)
@pytest.mark.parametrize("alpha", [1, 3, (1 << 63) - 1])
def test_the_widest_accumulators(ends: tuple[int, int], alpha: int) -> None:
    for beta, fraction in ((0, 0), (-(1 << 63), 62), ((1 << 63) - 1, 55)):
        op = Requantise(np.array(alpha), np.array(beta), 8, fraction, 8)
        scale, rows = scale_form(op, *ends), threshold_form(op, *ends)
        prove(op, scale, *ends)
        prove(op, rows, *ends)
        for first in rows.thresholds[0]:
            for acc in {max(ends[0], first - 1), min(ends[1], first)}:
                assert _scale_code(scale, acc) == _threshold_code(rows, acc) == _law(op, acc)


@pytest.mark.parametrize(("ends", "code"), [((-900, -500), 0), ((500, 900), 15)])
def test_a_range_beyond_all_steps_is_a_constant(ends: tuple[int, int], code: int) -> None:
    op = Requantise(np.array(3), np.array(0), 2, 3, 4)
    form = scale_form(op, *ends)
    assert form == ScaleForm((0,), (code,), 0, 4)
    assert threshold_form(op, *ends).thresholds == ((ends[0] if code else ends[1] + 1,) * 15,)
    prove(op, form, *ends)


def test_thresholds_are_clipped_into_the_range_and_one_more() -> None:
    op = Requantise(np.array(1), np.array(0), 1, 2, 3)  # steps at 2, 6, 10, ...
    assert threshold_form(op, 3, 11).thresholds == ((3, 6, 10, 12, 12, 12, 12),)


def _channels(rng: np.random.Generator, count: int) -> tuple[Requantise, np.ndarray, np.ndarray]:
    op = Requantise(rng.integers(1, 90, count), rng.integers(-900, 900, count), 3, 4, 4)
    lows = -rng.integers(0, 500, count)
    return op, lows, lows + rng.integers(0, 900, count)


@pytest.mark.parametrize("seed", range(10))
def test_channels_share_the_shift_and_nothing_else(seed: int) -> None:
    rng = np.random.default_rng(seed)
    op, lows, highs = _channels(rng, 7)
    scale, rows = scale_form(op, lows, highs), threshold_form(op, lows, highs)
    prove(op, scale, lows, highs)
    prove(op, rows, lows, highs)
    alone = []
    for channel, (low, high) in enumerate(zip(lows.tolist(), highs.tolist(), strict=True)):
        one = Requantise(op.alpha[channel], op.beta[channel], 3, 4, 4)
        alone.append(scale_form(one, low, high).shift)
        assert rows.thresholds[channel] == threshold_form(one, low, high).thresholds[0]
        for acc in range(low, high + 1):
            expected = _law(op, acc, channel)
            assert _scale_code(scale, acc, channel) == _threshold_code(rows, acc, channel) == expected
    assert scale.shift == max(alone), f"seed {seed}"
    acc = np.stack([rng.integers(lows, highs + 1) for _ in range(20)]).reshape(4, 5, 7)
    assert np.array_equal(scale.apply(acc), op.apply(acc)) and np.array_equal(rows.apply(acc), op.apply(acc))


def test_alpha_or_beta_alone_makes_a_form_of_channels() -> None:
    for alpha, beta in ((np.array([3, 5]), np.array(7)), (np.array(3), np.array([7, -7]))):
        op = Requantise(alpha, beta, 2, 3, 4)
        for low, high in ((-50, 90), ([-50, -40], [90, 80])):
            scale, rows = scale_form(op, low, high), threshold_form(op, low, high)
            assert scale.channels == rows.channels == 2
            prove(op, scale, low, high)
            prove(op, rows, low, high)


def test_a_form_of_the_layer_covers_the_union_of_the_ranges() -> None:
    op = Requantise(np.array(3), np.array(7), 2, 3, 4)
    lows, highs = np.array([-50, -40, 5]), np.array([-20, 60, 90])
    assert scale_form(op, lows, highs) == scale_form(op, -50, 90)
    assert threshold_form(op, lows, highs) == threshold_form(op, -50, 90)
    prove(op, scale_form(op, lows, highs), lows, highs)


def _mutants(form: ScaleForm) -> list[ScaleForm]:
    """Every number of a form off by one, both ways."""
    made = []
    for field in ("multiplier", "offset"):
        values = getattr(form, field)
        for channel, value in enumerate(values):
            for step in (-1, 1):
                changed = (*values[:channel], value + step, *values[channel + 1 :])
                if field == "offset" or value + step >= 0:
                    made.append(dataclasses.replace(form, **{field: changed}))
    return made + [
        dataclasses.replace(form, shift=form.shift + step) for step in (-1, 1) if form.shift + step >= 0
    ]


def _first_wrong(
    op: Requantise, form: ScaleForm | ThresholdForm, lows: list[int], highs: list[int]
) -> str | None:
    """What the proof has to say, found by trying everything."""
    code = _scale_code if isinstance(form, ScaleForm) else _threshold_code
    for channel, (low, high) in enumerate(zip(lows, highs, strict=True)):
        for acc in range(low, high + 1):
            expected, got = _law(op, acc, channel), code(form, acc, channel)  # type: ignore[arg-type]
            if expected != got:
                return (
                    f"channel {channel}: the form must give {expected} for acc {acc}, "
                    f"as the definition does, not {got}"
                )
    return None


def _proof_says(
    op: Requantise, form: ScaleForm | ThresholdForm, lows: list[int], highs: list[int]
) -> str | None:
    try:
        prove(op, form, lows, highs)
    except RequantiseError as error:
        return str(error)
    return None


@pytest.mark.parametrize("exhaustive", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_the_proof_finds_each_mutation_that_matters(
    seed: int, exhaustive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: A hardware form needs a proof."""
    if not exhaustive:
        monkeypatch.setattr(module, "_EXHAUSTIVE", 0)
    op, lows, highs = _channels(np.random.default_rng(seed), 3)
    ends = lows.tolist(), highs.tolist()
    scale, rows = scale_form(op, *ends), threshold_form(op, *ends)
    forms: list[ScaleForm | ThresholdForm] = [scale, rows, *_mutants(scale)]
    for channel, row in enumerate(rows.thresholds):
        for k, step in ((k, step) for k in range(len(row)) for step in (-1, 1)):
            changed = tuple(sorted((*row[:k], row[k] + step, *row[k + 1 :])))
            mutant = (*rows.thresholds[:channel], changed, *rows.thresholds[channel + 1 :])
            forms.append(ThresholdForm(mutant, op.bits))
    verdicts = [(_first_wrong(op, form, *ends), _proof_says(op, form, *ends)) for form in forms]
    assert all(wrong == said for wrong, said in verdicts), f"seed {seed}"
    assert sum(wrong is not None for wrong, _ in verdicts) > 40


def test_the_proof_finds_one_wrong_accumulator_in_a_wide_range() -> None:
    op = Requantise(np.array(1), np.array(-12345), 4, 16, 4)
    rows = threshold_form(op, *WIDE)
    for k, first in enumerate(rows.thresholds[0]):
        row = (*rows.thresholds[0][:k], first + 1, *rows.thresholds[0][k + 1 :])
        with pytest.raises(RequantiseError) as error:
            prove(op, ThresholdForm((row,), 4), *WIDE)
        assert str(error.value) == (
            f"channel 0: the form must give {k + 1} for acc {first}, as the definition does, not {k}"
        )
    scale = scale_form(op, *WIDE)
    wrong = [form for form in _mutants(scale) if _proof_says(op, form, [WIDE[0]], [WIDE[1]])]
    assert len(wrong) >= 4  # the offset alone may have room


@pytest.mark.parametrize(("fraction", "reach"), [(8, 40), (60, 60)])
@pytest.mark.parametrize("same", [True, False])
def test_the_cost_of_a_proof_is_that_of_its_distinct_channels(
    same: bool, fraction: int, reach: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice as many accumulators as there are levels, whatever the width, and equal channels once."""
    seen, definition = [], Requantise.apply

    def counted(self: Requantise, *arrays: np.ndarray) -> np.ndarray:
        seen.append(arrays[0].size)
        return definition(self, *arrays)

    alpha = np.arange(1, 33) // (32 if same else 1) + 9
    op, ends = Requantise(alpha, np.array(7), 8, fraction, 8), (-(1 << reach), (1 << reach) - 1)
    form = scale_form(op, *ends)
    monkeypatch.setattr(Requantise, "apply", counted)
    prove(op, form, *ends)
    kinds = len(set(alpha.tolist()))
    assert kinds == (2 if same else 32)
    assert sum(seen) == kinds * (255 + 255 + 510)


def test_the_narrower_scale_of_another_range_is_not_accepted() -> None:
    op = Requantise(np.array(37), np.array(-500), 4, 6, 4)
    narrow = scale_form(op, 0, 100)
    prove(op, narrow, 0, 100)
    with pytest.raises(
        RequantiseError, match=r"channel 0: the form must give \d+ for acc \d+, as the definition does"
    ):
        prove(op, narrow, 0, 500)


FIT = "accumulators must have low at most high and fit in 62 bits, not be"
MANY = "the range of accumulators must have one low and high, or 2 of each, not shapes"


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (5, 4, f"channel 0: {FIT} 5..4"),
        ([0, 5], [9, 4], f"channel 1: {FIT} 5..4"),
        (0, 1 << 61, f"channel 0: {FIT} 0..{1 << 61}"),
        (0.0, 5, "the range of accumulators must be integers, not float64 and int64"),
        ([0, 0, 0], [1, 1, 1], f"{MANY} (3,) and (3,)"),
        (0, [1, 1], f"{MANY} (1,) and (2,)"),
    ],
)
def test_wrong_ranges_are_refused(low: object, high: object, message: str) -> None:
    op, form = Requantise(np.array([1, 2]), np.array(0), 1, 0, 1), ScaleForm((1,), (0,), 0, 1)
    for use in (scale_form, threshold_form, lambda op, low, high: prove(op, form, low, high)):
        with pytest.raises(RequantiseError) as error:
            use(op, low, high)  # type: ignore[no-untyped-call]
        assert str(error.value) == message


COUNTS = "a scale form must have one multiplier or more and as many offsets, not"
SIGNS = "a scale form's multipliers and shift must be 0 or more, not"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ScaleForm((), (), 0, 1), f"{COUNTS} 0 and 0"),
        (lambda: ScaleForm((1,), (1, 2), 0, 1), f"{COUNTS} 1 and 2"),
        (lambda: ScaleForm((3, -1), (0, 0), 0, 1), f"{SIGNS} -1"),
        (lambda: ScaleForm((1,), (0,), -2, 1), f"{SIGNS} -2"),
        (lambda: ThresholdForm((), 1), "a threshold form must have one row of thresholds or more, not none"),
        (lambda: ThresholdForm(((1,),), 2), "channel 0: 2 bits must have 3 thresholds, not 1"),
        (
            lambda: ThresholdForm(((1, 2, 3), (1, 3, 2)), 2),
            "channel 1: thresholds must ascend, not be 2 after 3",
        ),
        (
            lambda: ThresholdForm(((1 << 62,),), 1),
            f"channel 0: thresholds must fit in 63 bits, not be {1 << 62}..{1 << 62}",
        ),
    ],
)
def test_wrong_forms_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(RequantiseError) as error:
        make()
    assert str(error.value) == message
    assert isinstance(error.value, UserError)


@pytest.mark.parametrize("form", [ScaleForm((1, 1), (0, 0), 0, 1), ScaleForm((1, 1, 1), (0, 0, 0), 0, 2)])
def test_a_form_of_another_operation_is_not_proved(form: ScaleForm) -> None:
    with pytest.raises(RequantiseError) as error:
        prove(Requantise(np.array([1, 2]), np.array(0), 1, 0, 2), form, 0, 5)
    assert str(error.value) == (
        "a form must be of the 2 bits and 2 channel(s) of its operation, "
        f"not of {form.bits} and {form.channels}"
    )
