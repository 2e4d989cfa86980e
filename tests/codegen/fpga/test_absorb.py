"""Registers move into multipliers and block RAMs where that changes nothing, and nowhere else."""

from typing import Any

import pytest

from codegen.fpga.absorb import absorb_registers
from tests.codegen.fpga.draft import CLOCK, ENABLE, OTHER, Draft


def behind_multiplier(**changes: Any) -> tuple[Draft, list[int]]:
    """A product of 2 by 1 bits and a register behind each of its bits, the last of them changed."""
    draft = Draft()
    products = draft.multiplier([*draft.nets(2)], [*draft.nets(1)])
    kept = [draft.register(f"r{k}", net, **(changes if k == 2 else {})) for k, net in enumerate(products)]
    for k, net in enumerate(kept):
        draft.output(f"o{k}", net)
    return draft, kept


def test_registers_behind_a_multiplier_move_in() -> None:
    draft, kept = behind_multiplier()
    netlist = draft.netlist()
    assert absorb_registers(netlist) == 3
    cell = netlist.cells["mult"]
    assert list(netlist.cells) == ["mult"]
    assert [cell.net(f"P{k}") for k in range(3)] == kept
    assert cell.parameters["REG_OUTPUT_CLK"] == "CLK0"
    assert cell.net("CLK0") == CLOCK
    assert cell.net(cell.parameters["REG_OUTPUT_CE"]) == ENABLE


@pytest.mark.parametrize(
    "changes",
    [
        {"CE": OTHER},
        {"CLK": OTHER},
        {"LSR": OTHER},
        {"REGSET": "SET"},
        {"CEMUX": "INV"},
        {"CLKMUX": "INV"},
        {"CEMUX": "1"},
    ],
    ids=str,
)
def test_one_register_that_differs_keeps_all_outside(changes: dict[str, Any]) -> None:
    netlist = behind_multiplier(**changes)[0].netlist()
    before = netlist.counts()
    assert absorb_registers(netlist) == 0
    assert netlist.counts() == before
    assert "REG_OUTPUT_CLK" not in netlist.cells["mult"].parameters


def test_registers_without_enable_move_in_too() -> None:
    draft = Draft()
    (product, _) = draft.multiplier([*draft.nets(1)], [*draft.nets(1)])
    draft.output("o", draft.register("r", product, CEMUX="1 "))
    netlist = draft.netlist()
    assert absorb_registers(netlist) == 1
    assert netlist.cells["mult"].net("CE0") == "1"


@pytest.mark.parametrize("how", ["another cell", "a port"])
def test_a_product_that_somebody_else_reads_stays_unregistered(how: str) -> None:
    draft, _ = behind_multiplier()
    product = draft.cells["mult"]["connections"]["P1"][0]
    if how == "a port":
        draft.output("seen", product)
    else:
        draft.cell("other", "LUT4", {"Z": draft.nets(1)}, {}, A="0", B=product)
    netlist = draft.netlist()
    assert absorb_registers(netlist) == 0
    assert netlist.counts()["TRELLIS_FF"] == 3


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


@pytest.mark.parametrize("changes", [{"CE": OTHER}, {"LSR": OTHER}, {"REGSET": "SET"}], ids=str)
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


def test_all_registers_of_a_multiplier_share_its_clock() -> None:
    draft = Draft()
    a = draft.register("a", draft.nets(1)[0], CLK=OTHER)
    product = draft.multiplier([a], [*draft.nets(1)])[0]
    draft.output("o", draft.register("r", product))
    netlist = draft.netlist()
    assert absorb_registers(netlist) == 1
    assert netlist.cells["mult"].net("CLK0") == CLOCK
    assert netlist.cells["mult"].net("A0") == a


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


@pytest.mark.parametrize("changes", [{"CLK": OTHER}, {"LSR": OTHER}], ids=str)
def test_a_word_in_registers_of_another_kind_stays(changes: dict[str, Any]) -> None:
    draft = Draft()
    draft.output("o", draft.register("r", draft.memory(9)[0], **changes))
    netlist = draft.netlist()
    assert absorb_registers(netlist) == 0
    assert netlist.cells["ram"].parameters["REGMODE_B"] == "NOREG"


def test_a_chain_of_registers_that_nobody_reads_goes() -> None:
    draft = Draft()
    draft.register("second", draft.register("first", draft.nets(1)[0]))
    netlist = draft.netlist()
    assert absorb_registers(netlist) == 2
    assert not netlist.cells
