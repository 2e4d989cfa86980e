"""What an accelerator will take of a device, before any synthesis.

Each component of ``hw`` has a function here that counts its registers, sums, multiplexers and memories from
the widths, levels and lanes that it is elaborated with; ``cells`` says what Yosys makes of each. Multipliers
and blocks of memory are meant to come out exact, the rest within some per cent (docs/fpga.md).
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial, reduce
from itertools import product as cartesian
from math import gcd
from operator import or_

import numpy as np
from amaranth.hdl import Shape, unsigned
from numpy.typing import NDArray

from codegen.accelerator import array_shape
from codegen.parameters import parameters
from codegen.plan import LayerPlan, Plan
from codegen.requantise import Form, ThresholdForm
from codegen.stages import MatrixVectorStage
from codegen.weights import rom_lanes, weight_steps
from hw.banks import SHALLOW, Banks, ring_depth, word_bits
from hw.fifo import Reservation
from hw.geometry import WindowGeometry, ceil_div
from hw.matrix_vector import ArrayShape, products_at_once
from hw.memory import rom_banks
from hw.pipeline import tree_levels
from hw.requantise import LIMB_BITS, Parameters, limbs
from hw.streams import accumulator

from .cells import (
    adder,
    bits_for,
    block_ram,
    constant_product,
    equals,
    loop,
    multiplier,
    product,
    ram,
    registers,
    rom_count,
    running_sum,
)
from .devices import Family, Resources

__all__ = ["estimate", "estimate_argmax", "estimate_input", "estimate_layer"]


def estimate(plan: Plan, family: Family) -> dict[str, Resources]:
    """What each engine of a plan takes, by name."""
    found = {}
    for layer in plan.layers:
        found[layer.stage.name] = estimate_layer(layer, family)
    if plan.argmax is not None:
        scores, channels = plan.layers[-1].format, plan.argmax.source.channels
        found[plan.argmax.name] = estimate_argmax(scores.bits, scores.lanes, channels, family)
    return found


def estimate_layer(layer: LayerPlan, family: Family, *, contents: bool = True) -> Resources:
    """What a layer takes.

    ``contents``: bits of the weights that are the same in every word are no memory; without, all bits count,
    which is faster.
    """
    return _total(parts(layer, family, contents=contents).values())


def estimate_input(in_lanes: int, granule: int, channels: int, bits: int, family: Family) -> Resources:
    """What turns beats of ``in_lanes`` codes into granules, the only part of a layer that depends on the
    width of the stream it reads."""
    part = gcd(in_lanes, granule)
    full, gathered = in_lanes // part, granule // part
    beats = loop(family, ceil_div(channels, in_lanes) if full > 1 else 1)
    tables, flops = Resources((full - 1) * part * bits), registers(family, (gathered - 1) * part * bits)
    return _total([beats, loop(family, full), loop(family, gathered), tables, flops])


def parts(layer: LayerPlan, family: Family, *, contents: bool = True) -> dict[str, Resources]:
    """What each component of a layer takes, by name."""
    timing = layer.timing
    window, bits, lanes = timing.window, layer.stage.source.bits, timing.lanes
    found = {
        "input": estimate_input(window.in_lanes, window.granule, window.channels, bits, family),
        "writer": _writer(window, bits, family),
        "reader": _reader(window, family),
        "banks": _banks(window, bits, family),
        "fifo": _fifo(layer.format.width, timing.fifo_depth, timing.reservation, family),
    }
    if not isinstance(layer.stage, MatrixVectorStage):
        return found | {"reduce": _reduce(bits, lanes, window.lanes // lanes, family)}
    array = array_shape(layer)
    found |= {
        "weights": _weights(layer, array, family, contents),
        "array": _array(array, window.lanes, window.weight_steps, family),
        "serialiser": _serialiser(array, lanes, timing.reservation, family),
        "recentre": _recentre(array, lanes, family),
    }
    if layer.form is not None:
        found["requantise"] = _requantise(
            layer.form, parameters(layer.stage, layer.form, lanes), array, family
        )
    return found


def _total(found: Iterable[Resources]) -> Resources:
    return sum(found, Resources())


# -- line buffer -------------------------------------------------------------------------------------------


def _base_bits(g: WindowGeometry) -> int:
    """Bits that ever change of the address of a row, a multiple of the words of one."""
    unit = (g.row_words & -g.row_words).bit_length() - 1
    return max(0, bits_for(ring_depth(g)) - unit)


def _advance(g: WindowGeometry, rows: int, family: Family) -> int:
    """Logic cells of the row ``rows`` further on in the ring, which wraps by itself if its depth is a power
    of two."""
    if rows % g.buffer_rows == 0:
        return 0
    base, depth = _base_bits(g), ring_depth(g)
    wrap = adder(family, base) + equals(base) + 1 if depth & (depth - 1) else 0
    carry = 3 * bits_for(g.row_lanes) if rows % g.row_lanes else 0
    return adder(family, base) + wrap + carry


def _writer(g: WindowGeometry, bits: int, family: Family) -> Resources:
    ring, held, word = bits_for(ring_depth(g)), bits_for(g.buffer_rows + 1), bits_for(g.row_words)
    row_bank, run_bank = bits_for(g.row_lanes), bits_for(g.run_banks)
    tables = 2 * held + 2 + 2 * run_bank + adder(family, ring) + _advance(g, 1, family)
    tables += word if g.run_banks > 1 else 0
    flops = held + _base_bits(g) + row_bank + word + run_bank + 1 + ring
    written = registers(family, row_bank + run_bank + 1 + g.granule * bits)
    return _total([loop(family, g.columns * g.pixel_granules), Resources(tables, flops), written])


def _reader(g: WindowGeometry, family: Family) -> Resources:
    base, filled, word = _base_bits(g), bits_for(g.buffer_rows + 1), word_bits(g)
    row_bank, run_bank = bits_for(g.row_lanes), bits_for(g.run_banks)
    rows = [g.image_slots]
    rows += [g.stride[0]] if g.out_rows > 1 else []
    rows += [g.row_lanes] if g.kernel[0] > g.row_lanes else []
    moves = sum(count > 1 for count in g.loops[1:])
    tables = 3 * filled + sum(_advance(g, row, family) + base for row in rows)
    tables += moves * (adder(family, word) + 2 * run_bank)
    flops = 2 * base + filled + row_bank + word + run_bank
    return _total([*(loop(family, count) for count in g.loops), Resources(tables, flops)])


def _banks(g: WindowGeometry, bits: int, family: Family) -> Resources:
    ring, base, banks = bits_for(ring_depth(g)), _base_bits(g), g.row_lanes * g.run_banks
    row_bank, run_bank, masks = bits_for(g.row_lanes), bits_for(g.run_banks), _mask_bits(g)
    flags = registers(family, Banks.latency + 4 * (2 + masks + row_bank + run_bank) + 2)
    addresses = registers(family, ring + base) + Resources(adder(family, ring), ring)
    if g.row_lanes > 1:
        addresses += Resources(_advance(g, g.row_lanes, family) + adder(family, ring), base + ring)
        addresses += Resources(g.row_lanes * ring)
    addresses += Resources((g.run_banks - 1) * g.row_lanes * (adder(family, ring) + 1))
    levels = (row_bank if g.rotates_rows else 0) + (run_bank if g.rotates_runs else 0) + (masks > 0)
    width = g.lanes * bits
    output = Resources(levels * width, width) if levels else registers(family, width)
    depth, granule = max(2, ring_depth(g)), g.granule * bits
    kind = block_ram if depth > SHALLOW else ram
    memory = kind(family, granule, depth, True, True)
    written = registers(family, ring + granule) + Resources(banks if banks > 1 else 0, banks)
    return _total([flags, addresses, output, written, *[memory] * banks])


def _mask_bits(g: WindowGeometry) -> int:
    """Different bits of the two masks of a step that are not always the same."""
    columns, scale, size = set(g.column_bounds), g.pixel_granules, g.pixel_granules // g.groups
    rows = {
        tuple(low <= k * g.row_lanes + t < high for low, high in set(g.row_bounds) for k in range(g.loops[4]))
        for t in range(g.row_lanes)
    }
    chunks = [k * g.run_banks for k in range(g.loops[6])]
    if g.groups == 1:
        runs = {
            tuple(low * scale <= k + t < high * scale for low, high in columns for k in chunks)
            for t in range(g.run_banks)
        }
    else:
        inside = [low <= k < high for low, high in columns for k in range(g.kernel[1])]
        runs = {tuple(seen and k + t < size for seen in inside for k in chunks) for t in range(g.run_banks)}
    return sum(len(set(bit)) > 1 for bit in rows) + sum(len(set(bit)) > 1 for bit in runs)


# -- matrix-vector unit ------------------------------------------------------------------------------------


def _weights(layer: LayerPlan, a: ArrayShape, family: Family, contents: bool) -> Resources:
    assert isinstance(layer.stage, MatrixVectorStage)
    window = layer.timing.window
    depth = window.weight_steps
    if depth == 1:
        return Resources()  # they are constants
    codes = weight_steps(layer.stage.weights.codes, window, a.pe) if contents else None
    banks, found = rom_banks(depth), loop(family, depth)
    for start, end, _ in banks:
        widths = _rom_widths(a, None if codes is None else codes[start:end])
        found += registers(family, 0 if family is Family.ECP5 else sum(widths))
        found += Resources(memories=sum(rom_count(family, width, end - start) for width in widths))
    chosen = a.pe * a.simd * a.weight_bits * (len(banks) - 1)
    return found + Resources(chosen, 2 * bits_for(len(banks)))


def _rom_widths(a: ArrayShape, codes: NDArray[np.uint8] | None) -> list[int]:
    """Bits of each weight ROM, or only those that are not the same in all words ``codes``."""
    used = np.full((a.pe, a.simd), a.weight_bits)
    if codes is not None:
        used = np.bitwise_count(np.bitwise_or.reduce(codes ^ codes[:1], axis=0)).astype(int)
    lanes = rom_lanes(a.simd, a.weight_bits)
    return [int(width) for start, end in lanes for width in used[:, start:end].sum(axis=1)]


@cache
def _tree(family: Family, terms: int, high: int, at_once: bool) -> Resources:
    """An adder tree over numbers up to ``high``, without the registers of the terms themselves. ``at_once``:
    these have none, but the sum has one more."""
    found, highs = Resources(), [high] * terms
    while len(highs) > 1:
        pairs = len(highs) // 2
        highs = [sum(highs[k : k + 2]) for k in range(0, len(highs), 2)]
        widths = [top.bit_length() for top in highs]
        found += Resources(sum(adder(family, width) for width in widths[:pairs]), sum(widths[:pairs]))
        found += registers(family, sum(widths[pairs:]))
    return found + registers(family, highs[0].bit_length() if at_once else 0)


def _array(a: ArrayShape, lanes: int, depth: int, family: Family) -> Resources:
    """``lanes``: codes of a step, of all pixels. ``depth``: of the weights."""
    sums = a.pixels * a.pe
    raw, total = (accumulator(0, high).width for high in (a.raw_high, a.total_high))
    control = registers(family, 3 * (2 + tree_levels(a.simd)) + 1)
    operands = registers(family, lanes * a.code_bits)
    code_high, weight_high = (1 << a.code_bits) - 1, (1 << a.weight_bits) - 1
    terms = ceil_div(a.simd, 2) if a.weight_bits == depth == 1 else a.simd  # constants of 0 are no terms
    gates = a.weight_bits == a.code_bits == 1
    trees = _tree(family, terms, code_high * weight_high, gates) * sums
    trees += _tree(family, a.simd, code_high, True) * a.pixels
    tables = sums * running_sum(family, raw) + a.pixels * running_sum(family, total) + 2
    accumulators = Resources(tables, sums * raw + a.pixels * total)
    return _total([control, operands, _products(a, depth, family), trees, accumulators])


def _products(a: ArrayShape, depth: int, family: Family) -> Resources:
    """All products of a step, with the registers of the weights and their own."""
    count = a.pixels * a.pe * a.simd
    if depth == 1 and (a.logic or family is Family.ICE40 or min(a.weight_bits, a.code_bits) == 1):
        return constant_product(family, a.weight_bits, a.code_bits) * count
    if min(a.weight_bits, a.code_bits) == 1:
        width, weights = max(a.weight_bits, a.code_bits), registers(family, a.pe * a.simd * a.weight_bits)
        return weights if width == 1 else weights + Resources(count * width, count * width)
    if a.logic or family is Family.ICE40:
        weights = registers(family, a.pe * a.simd * a.weight_bits)
        return weights + product(family, a.weight_bits, a.code_bits) * count
    words = ceil_div(a.pe, products_at_once(a.weight_bits, a.code_bits))
    kept = registers(family, count * (a.weight_bits + a.code_bits))
    return kept + Resources(multipliers=words * a.simd * a.pixels)


def _serialiser(a: ArrayShape, lanes: int, r: Reservation, family: Family) -> Resources:
    raw, total = (accumulator(0, high).width for high in (a.raw_high, a.total_high))
    beats = a.pixels * a.pe // lanes
    left = bits_for(beats + 1)
    shifted = (beats - 1) * lanes * raw + (a.pixels - 1) * total
    fixed = registers(family, lanes * raw + total)
    loops = loop(family, r.windows) + loop(family, a.pixels)
    return loops + fixed + Resources(shifted + 2 * left, shifted + left)


def _recentre(a: ArrayShape, lanes: int, family: Family) -> Resources:
    raw, total = (accumulator(0, high).width for high in (a.raw_high, a.total_high))
    acc, middle = accumulator(a.low, a.high).width, total + a.weight_bits
    tables = (adder(family, middle) if a.weight_bits > 1 else 0) + lanes * adder(family, acc)
    return registers(family, 2 + lanes * raw) + Resources(tables, middle + lanes * acc)


# -- requantisation ----------------------------------------------------------------------------------------


def _requantise(form: Form, numbers: Parameters, a: ArrayShape, family: Family) -> Resources:
    each = _threshold if isinstance(form, ThresholdForm) else partial(_scale, form.shift)
    lane = each(form.bits, numbers, a, family)
    return lane * numbers.lanes + registers(family, 5) + _parameters(numbers, family)


def _scale(shift: int, bits: int, numbers: Parameters, a: ArrayShape, family: Family) -> Resources:
    """A lane that multiplies and adds."""
    acc, ((_, top), (least, most)) = accumulator(a.low, a.high), numbers.ends
    factor, offset = accumulator(0, top), accumulator(least, most)
    total = accumulator(min(0, a.low) * top + least, max(0, a.high) * top + most).width
    parts = cartesian(enumerate(_limbs(acc)), enumerate(_limbs(factor)))
    pairs = sorted((i + j, left.width, right.width + left.signed) for (i, left), (j, right) in parts)
    found = [multiplier(family, left, right) for _, left, right in pairs]
    terms = [(0, offset.width), *((place * LIMB_BITS, left + right) for place, left, right in pairs)]
    found += [registers(family, 2 * acc.width + (0 if numbers.are_constant else 2 * offset.width))]
    found += [_sums(terms, total, shift, family)]
    clip = bits + ceil_div(max(0, total - shift - bits), 3) + 1
    return _total([*found, Resources(clip, bits)])


def _limbs(shape: Shape) -> list[Shape]:
    """The parts that a number is cut into for the multipliers; the last has its sign."""
    lower = limbs(shape) - 1
    return [unsigned(LIMB_BITS)] * lower + [Shape(shape.width - lower * LIMB_BITS, shape.signed)]


def _sums(terms: Sequence[tuple[int, int]], total: int, shift: int, family: Family) -> Resources:
    """A tree of sums of terms, each from its lowest place so many bits up; of the whole, nothing reads the
    bits below ``shift``."""
    found, level = Resources(), [(place, place + width) for place, width in terms]
    while len(level) > 1:
        pairs = [level[k : k + 2] for k in range(0, len(level), 2)]
        level = [(pair[0][0], min(total, max(top for _, top in pair) + len(pair) - 1)) for pair in pairs]
        for pair, (low, top) in zip(pairs, level, strict=True):
            if len(pair) > 1:
                found += Resources(adder(family, top - pair[1][0]))
            found += registers(family, top - (max(low, min(shift, top)) if len(level) == 1 else low))
    return found


def _threshold(bits: int, numbers: Parameters, a: ArrayShape, family: Family) -> Resources:
    """A lane that compares with every threshold."""
    acc, count = accumulator(a.low, a.high).width, len(numbers.columns)
    width = max(accumulator(*ends).width for ends in numbers.ends)
    tables = count * adder(family, max(acc, width) + 1) + 2 * (count - bits)
    return registers(family, 2 * acc) + Resources(tables, count + bits)


def _parameters(numbers: Parameters, family: Family) -> Resources:
    """The numbers of each channel, where channels differ or others may be loaded. Bits that are the same in
    every word, whatever is loaded, are no memory; a single word is followed by one of zeros."""
    if numbers.are_constant:
        return Resources()
    columns, lanes = numbers.columns, numbers.lanes
    channels = len(columns[0][1])
    depth, used = ceil_div(channels, lanes), 0
    for ends, column in columns:
        padded = [*column, *[column[-1]] * (-channels % lanes)]
        width = accumulator(*ends).width
        for lane in range(lanes):
            words = padded[lane::lanes] if depth > 1 else [padded[lane], 0]
            varying = reduce(or_, (word ^ words[0] for word in words)) & ((1 << width) - 1)
            used += width if numbers.loadable is not None else varying.bit_count()
    words_out = registers(family, 0 if family is Family.ECP5 else used)
    return loop(family, depth) + words_out + Resources(memories=rom_count(family, used, max(2, depth)))


# -- the rest ----------------------------------------------------------------------------------------------


def _fifo(width: int, depth: int, r: Reservation, family: Family) -> Resources:
    level, free, places = bits_for(depth), bits_for(depth + 1), depth - 1
    control = Resources(adder(family, level) + adder(family, free) + level + free, level + free + 1)
    tails = loop(family, r.windows if r.tail != r.full else 1)
    return _total([tails, loop(family, places) * 2, ram(family, width, places, False, apart=True), control])


def _reduce(bits: int, channels: int, taps: int, family: Family) -> Resources:
    larger, levels = adder(family, bits) + bits, list(_levels(taps)) or [(0, 1)]
    pairs, alone = (sum(counts) for counts in zip(*levels, strict=True))
    kept = registers(family, channels * alone * bits + 3 * len(levels) + 1)
    return Resources(channels * (pairs + 1) * larger, channels * (pairs + 1) * bits) + kept


def _levels(terms: int) -> Iterator[tuple[int, int]]:
    """How many pairs each level of a tree joins, and whether one term passes alone."""
    while terms > 1:
        yield divmod(terms, 2)
        terms = ceil_div(terms, 2)


def estimate_argmax(bits: int, lanes: int, channels: int, family: Family) -> Resources:
    """What an argmax over ``channels`` numbers of so many bits takes, ``lanes`` of them a beat."""
    base, index = bits_for(channels + lanes), bits_for(channels)
    found = loop(family, ceil_div(channels, lanes))
    for level, (pairs, alone) in enumerate(_levels(lanes)):
        found += Resources(adder(family, bits) + bits + level, bits + level + 1) * pairs
        found += registers(family, alone * (bits + level) + 3)
    place = adder(family, index) if lanes > 1 else 0
    return found + Resources(adder(family, bits) + base + place, bits + index + 1 + base)
