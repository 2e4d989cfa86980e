# amaranth: UnusedElaboratable=no
"""Memories hand out their words in the promised order and at the promised time."""

import random
import re

import pytest
from amaranth.back import rtlil
from amaranth.sim import SimulatorContext

from hw.memory import ROM_MODULE, Rom, SequenceRom, WeightRom

from .bench import plain, simulate


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_rom_answers_a_cycle_later_and_keeps_its_answer(depth: int) -> None:
    chance = random.Random(depth)
    words = [chance.randrange(1 << 9) for _ in range(depth)]
    rom = Rom(9, depth, words)

    async def bench(ctx: SimulatorContext) -> None:
        answer = None
        for _ in range(40):
            address, enable = chance.randrange(depth), chance.random() < 0.5
            ctx.set(rom.address, address)
            ctx.set(rom.enable, enable)
            await ctx.tick()
            answer = words[address] if enable else answer
            assert answer is None or ctx.get(rom.data) == answer

    simulate(rom, bench)


def test_rom_in_a_file_is_an_instance_that_names_it() -> None:
    rom = Rom(4, 3, "rom/a.hex")
    text = rtlil.convert(rom, name="top", ports=[rom.address, rom.enable, rom.data])
    assert f"cell \\{ROM_MODULE} " in text
    assert dict(re.findall(r"parameter \\(\w+) (\S+)", text)) == {
        "WIDTH": "4",
        "DEPTH": "3",
        "FILE": '"rom/a.hex"',
    }


def test_rom_wants_as_many_words_as_it_is_deep() -> None:
    with pytest.raises(ValueError) as caught:
        Rom(4, 3, [1, 2])
    assert str(caught.value) == "contents must be 3 words, not 2"


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7])
def test_sequence_moves_on_in_the_cycle_after_advance_and_wraps(length: int) -> None:
    chance = random.Random(length)
    words = [chance.randrange(1 << 6) for _ in range(length)]
    sequence = SequenceRom(6, words)

    async def bench(ctx: SimulatorContext) -> None:
        await ctx.tick()
        position = 0
        for _ in range(5 * length):
            assert ctx.get(sequence.data) == words[position]
            advance = chance.random() < 0.6
            ctx.set(sequence.advance, advance)
            await ctx.tick()
            position = (position + advance) % length

    simulate(sequence, bench)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_weights_come_in_step_order_with_their_parts_side_by_side(depth: int) -> None:
    """Law: Weights come in the order of the steps."""
    chance = random.Random(depth)
    steps = [[chance.randrange(8) for _ in range(5)] for _ in range(depth)]
    parts = [(9, [sum(code << 3 * k for k, code in enumerate(row[:3])) for row in steps])]
    parts += [(6, [sum(code << 3 * k for k, code in enumerate(row[3:])) for row in steps])]
    rom = WeightRom(3, 5, depth, parts)
    stepped = []

    async def bench(ctx: SimulatorContext) -> None:
        for cycle in range(6 * depth + 8):
            if cycle - WeightRom.latency in stepped:
                turn = stepped.index(cycle - WeightRom.latency)
                assert plain(ctx.get(rom.codes)) == steps[turn % depth], f"step {turn} of {steps}"
            step = chance.random() < 0.7
            ctx.set(rom.step, step)
            stepped.extend([cycle] * step)
            await ctx.tick()

    simulate(rom, bench)


def test_weights_want_parts_of_the_whole_width() -> None:
    with pytest.raises(ValueError) as caught:
        WeightRom(3, 5, 1, [(9, [0]), (3, [0])])
    assert str(caught.value) == "parts must be 15 bits wide together, not 12"
