# amaranth: UnusedElaboratable=no
"""Memories hand out their words in the promised order and at the promised time."""

import random
import re

import pytest
from amaranth.back import rtlil
from amaranth.sim import SimulatorContext

from hw.memory import ROM_MODULE, Rom, SequenceRom, rom_banks

from .bench import simulate


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


def test_a_rom_is_cut_into_banks_of_what_one_block_holds() -> None:
    assert rom_banks(2048, "a.hex") == [(0, 2048, "a.hex")]
    assert rom_banks(2049, "a.hex") == [(0, 2048, "a.row0.hex"), (2048, 2049, "a.row2048.hex")]
    assert [bank.end for bank in rom_banks(16_384)] == list(range(2048, 16_385, 2048))
    assert rom_banks(16_385, "a.hex") == [(0, 16_385, "a.hex")], "no device holds it anyway"


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 2049, 4100])
def test_sequence_brings_the_next_word_of_all_parts_and_keeps_it(depth: int) -> None:
    """Law: Weights come in the order of the steps."""
    chance = random.Random(depth)
    words = [chance.randrange(1 << 15) for _ in range(depth)]
    parts = [(9, [word % (1 << 9) for word in words]), (6, [word >> 9 for word in words])]
    sequence = SequenceRom(depth, parts)

    async def bench(ctx: SimulatorContext) -> None:
        stepped = [0] * SequenceRom.latency
        for _ in range(min(5 * depth, 2 * depth + 50) + 8):
            due = stepped[-SequenceRom.latency]
            assert due == 0 or ctx.get(sequence.data) == words[(due - 1) % depth], f"step {due} of {words}"
            step = chance.random() < 0.6
            ctx.set(sequence.step, step)
            stepped.append(stepped[-1] + step)
            await ctx.tick()

    simulate(sequence, bench)
