"""What synthesis makes of a ROM: blocks that each hold some bits of every word, as many as are estimated."""

from pathlib import Path

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Signal

from codegen.fpga.cells import rom_count
from codegen.fpga.devices import DEVICES, Family
from codegen.fpga.netlist import Netlist
from codegen.fpga.synthesis import resources, synthesise
from codegen.verilog import ROM_FILE, ROM_SOURCE
from hw.memory import SequenceRom, rom_banks


def rom_of(width: int, depth: int, folder: Path) -> SequenceRom:
    """A ROM of random words, read in turn, and the files that it is filled from."""
    (folder / "rom").mkdir()
    (folder / ROM_FILE).write_text(ROM_SOURCE)
    words = np.random.default_rng([width, depth]).integers(0, 1 << width, depth)
    for start, end, file in rom_banks(depth, "rom/a.hex"):
        (folder / file).write_text("".join(f"{word:x}\n" for word in words[start:end]))
    return SequenceRom(depth, [(width, "rom/a.hex")])


def netlist_of(width: int, depth: int, device: str, folder: Path) -> Netlist:
    rom = rom_of(width, depth, folder)
    text = rtlil.convert(rom, name="top", ports=[rom.step, rom.data], emit_src=False)
    return synthesise(text, "top", DEVICES[device], folder, "place")


@pytest.mark.parametrize(("width", "depth", "blocks"), [(30, 600, 2), (24, 1312, 3), (36, 1100, 4)])
def test_no_logic_chooses_between_the_blocks_of_a_rom(
    width: int, depth: int, blocks: int, tmp_path: Path
) -> None:
    """The register in which a word is read and the one behind it are in blocks that hold all words."""
    netlist = netlist_of(width, depth, "ecp5-85k", tmp_path)
    found = [cell for cell in netlist.cells.values() if cell.type == "DP16KD"]
    assert len(found) == rom_count(Family.ECP5, width, depth) == blocks
    drivers = [netlist.drivers[net] for net in netlist.module["ports"]["data"]["bits"]]
    assert {netlist.cells[pin.cell].name for pin in drivers} == {cell.name for cell in found}
    assert {cell.parameters["REGMODE_A"] for cell in found} == {"OUTREG"}


@pytest.mark.parametrize(("width", "depth", "blocks"), [(24, 1312, 9)])
def test_a_rom_of_an_ice40_is_no_deeper_than_its_words(
    width: int, depth: int, blocks: int, tmp_path: Path
) -> None:
    netlist = netlist_of(width, depth, "ice40-hx8k", tmp_path)
    memories = resources(netlist, list(netlist.cells.values())).memories
    assert memories == rom_count(Family.ICE40, width, depth) == blocks


@pytest.mark.parametrize("depth", [1000, 4000, 5000])
def test_a_weight_of_any_bank_goes_into_its_multiplier_at_once(depth: int, tmp_path: Path) -> None:
    """With a choice that leaves a case over, synthesis gives the register between them a reset."""
    m, code, product = Module(), Signal(8), Signal(16)
    m.submodules.rom = rom = rom_of(8, depth, tmp_path)
    operands = Signal(8, reset_less=True), Signal(8, reset_less=True)
    with m.If(rom.step):
        m.d.sync += [operands[0].eq(rom.data), operands[1].eq(code)]
    m.d.sync += product.eq(operands[0] * operands[1])
    text = rtlil.convert(m, name="top", ports=[rom.step, code, product], emit_src=False)
    netlist = synthesise(text, "top", DEVICES["ecp5-85k"], tmp_path, "place")
    (multiplier,) = [cell for cell in netlist.cells.values() if cell.type == "MULT18X18D"]
    assert {multiplier.parameters[f"REG_INPUT{side}_CLK"] for side in "AB"} == {"CLK0"}
