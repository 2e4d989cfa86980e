"""What Yosys makes of registers, sums, loops and memories in each family: the parts of an estimate."""

from functools import cache

from hw.geometry import ceil_div
from hw.memory import BANK_WORDS

from .devices import Family, Resources

__all__ = [
    "WHOLE_ROMS",
    "adder",
    "bits_for",
    "block_count",
    "block_ram",
    "constant_product",
    "equals",
    "loop",
    "multiplier",
    "product",
    "ram",
    "registers",
    "rom_count",
    "running_sum",
]


def bits_for(count: int) -> int:
    """Bits of a number in 0 .. count - 1; none for a constant."""
    return (count - 1).bit_length()


def registers(family: Family, bits: int) -> Resources:
    """Flip-flops that stand behind no table of their own: an iCE40 spends a logic cell on each."""
    return Resources(bits if family is Family.ICE40 else 0, bits)


_NARROW = (0, 1, 2, 4, 6)
"""Tables of a sum that is too narrow for the carry cells of an ECP5, by its bits."""


def adder(family: Family, bits: int) -> int:
    """Logic cells of a sum, a difference or a comparison. A carry chain of an ECP5 has one more than bits:
    half a carry cell for the carry in, or a table for the first sum, which does without."""
    if family is Family.ICE40:
        return bits
    return _NARROW[bits] if bits < len(_NARROW) else bits + 1


def running_sum(family: Family, bits: int) -> int:
    """Logic cells of a sum that is added to or begun anew. The tables for that are in the carry chain of an
    ECP5, but for its first bit where that has a table already."""
    if family is Family.ICE40:
        return 2 * bits
    return adder(family, bits) + (bits if bits < len(_NARROW) else 1 - bits % 2)


def equals(bits: int) -> int:
    """Logic cells of a comparison with a constant."""
    return ceil_div(max(0, bits - 1), 3)


@cache
def loop(family: Family, count: int) -> Resources:
    """A counter of so many steps: its register, its next value, its end."""
    bits = bits_for(count)
    return Resources(bits if bits <= 4 else adder(family, bits) + equals(bits) + 3, bits)


# -- multipliers -------------------------------------------------------------------------------------------

_SIDE = 18
"""Bits that a multiplier takes on each side."""


def pieces(bits: int) -> int:
    """Multipliers that an operand is spread over; a single bit that is left over takes none."""
    whole, rest = divmod(bits, _SIDE)
    return whole + (rest > 1)


def multiplier(family: Family, left: int, right: int) -> Resources:
    """A product of two operands of so many bits and the registers around it; those of the operands are inside
    the multipliers of an ECP5."""
    if family is Family.ICE40:
        return product(family, left, right) + registers(family, left + right)
    tables = adder(family, left + right) if max(left, right) > _SIDE else 0
    return Resources(tables, left + right, 0, pieces(left) * pieces(right))


def product(family: Family, left: int, right: int) -> Resources:
    """A product made of logic, partial products and their sum, and the register behind it."""
    tables = 2 * left * right
    if family is Family.ECP5:
        small = left + right <= 4  # each bit is one table
        tables = left + right if small else tables + 2 * max(0, left - 4) * max(0, right - 4)
    return Resources(tables, left + right)


def constant_product(family: Family, weight: int, code: int) -> Resources:
    """The product of a code and a constant weight of so many bits, and the register behind it. Half of the
    bits are set, two places apart, and so many codes are added up; one bit times many are wires from the
    code, which is kept for its own sum."""
    if 1 in (weight, code):
        return Resources()
    sums = sum(code + 2 * k for k in range(weight // 2 - 1))
    return Resources(sums, (weight + code) * 3 // 4)


# -- memories ----------------------------------------------------------------------------------------------

_SHAPES = {
    Family.ECP5: ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)),
    Family.ICE40: ((16, 256), (8, 512), (4, 1024), (2, 2048)),
}
"""Width and depth of a block, in all its shapes."""


def block_count(family: Family, width: int, depth: int) -> int:
    """The fewest blocks that hold ``depth`` words, shapes mixed side by side."""
    least, wide, each = _narrow_counts(family, depth)
    whole = max(0, ceil_div(width - len(least) + 1, wide))
    return whole * each + least[width - whole * wide]


@cache
def _narrow_counts(family: Family, depth: int) -> tuple[list[int], int, int]:
    """The fewest blocks for every width up to four of the widest, and the width and blocks of the shape that
    fills what is wider, the cheapest for its bits."""
    rows = {width: ceil_div(depth, words) for width, words in _SHAPES[family]}
    least = [0]
    for bits in range(1, 4 * max(rows) + 1):
        least.append(min(least[max(0, bits - width)] + count for width, count in rows.items()))
    wide = min(rows, key=lambda width: (rows[width] / width, -width))
    return least, wide, rows[wide]


WHOLE_ROMS = 512
"""Words above which a ROM is synthesised for an ECP5 as deep as the blocks that hold it (hw.memory)."""


def rom_count(family: Family, width: int, depth: int) -> int:
    """Blocks of a ROM, or of a bank of one."""
    if family is Family.ECP5 and WHOLE_ROMS < depth < BANK_WORDS:
        depth = 1 << bits_for(depth)
    return block_count(family, width, depth)


@cache
def ram(family: Family, width: int, depth: int, output: bool, apart: bool = False) -> Resources:
    """Words that are written and read, with the register in which a word is read, and if ``output`` one
    behind it. ``apart``: a word is never read while it is written.

    Yosys takes the cheapest by the costs that its rules give a bit of logic, a distributed memory of 16 words
    by 4 bits (ECP5) and a block. If words are not apart it puts around a block what lets one that is written
    while it is read come out as it was, so no register behind it can move in.
    """
    more = registers(family, width if output else 0)
    count = block_count(family, width, depth)
    bits = width * depth
    cells = Resources(width * (depth - 1) + depth, width) + registers(family, bits) + more
    if family is Family.ICE40:
        return (
            cells
            if bits <= 64 * count + (0 if apart else 10)
            else block_ram(family, width, depth, output, apart)
        )
    rows = ceil_div(depth, 16)
    tables = 4 * rows * ceil_div(width, 4)
    if bits <= tables + (rows - 1) * width / 2 + 2:
        return cells
    if tables + (rows - 1) * width / 2 > 128 * count + (0 if apart else 9):
        return block_ram(family, width, depth, output, apart)
    return Resources(tables + (rows - 1) * (width + 2), width) + more


@cache
def block_ram(family: Family, width: int, depth: int, output: bool, apart: bool) -> Resources:
    """As ``ram``, in blocks whatever they cost."""
    found = Resources(memories=block_count(family, width, depth))
    if output and not (apart and family is Family.ECP5):
        found += registers(family, width)
    if apart:
        return found
    shift = Resources(width + 1 + adder(family, bits_for(depth)), 2 * width + 1)
    return found + shift + registers(family, width)
