"""Carry chains are trimmed where that changes nothing, and to as many logic cells as they have bits."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pytest

from codegen.fpga.carry import trim_carries
from codegen.fpga.devices import Resources
from codegen.fpga.netlist import Netlist, Pin
from codegen.fpga.synthesis import resources
from tests.codegen.fpga.draft import Draft

ADD = 0b1001_0110_1010_1010
"""A + B with C = 0, A - B with C = 1 and a carry in, both with D = 1: what Yosys makes of sums."""

Bits = np.ndarray


def outputs(netlist: Netlist, inputs: Mapping[int, Bits], floating: Bits) -> dict[str, Bits]:
    """What the ports of a netlist of tables and carry cells give; ``floating``: on carry inputs left open."""
    known: dict[int | str, Bits] = {**inputs, "0": np.zeros_like(floating), "1": np.ones_like(floating)}

    def value(net: int | str) -> Bits:
        if net not in known:
            driver = netlist.drivers[net]
            known[net] = pin(driver.cell, driver.name)
        return known[net]

    def table(name: str, init: str, suffix: str = "", given: str = "ABCD") -> Bits:
        cell = netlist.cells[name]
        index = sum(value(cell.net(f"{pin}{suffix}")) << k for k, pin in enumerate(given))
        return np.array([int(bit) for bit in reversed(cell.parameters[init])])[index]

    def carry(name: str, half: int) -> Bits:
        """What goes into a half."""
        cell = netlist.cells[name]
        if half == 0:
            return value(cell.net("CIN")) if "CIN" in cell.content["connections"] else floating
        k = str(half - 1)
        propagate, generate = (table(name, f"INIT{k}", k, given) for given in ("ABCD", "AB"))
        return np.where(propagate, carry(name, half - 1), generate)

    def pin(name: str, output: str) -> Bits:
        if output == "Z":
            return table(name, "INIT")
        if output == "COUT":
            return carry(name, 2)
        return table(name, f"INIT{output[1]}", output[1]) ^ carry(name, int(output[1]))

    ports = netlist.module["ports"].items()
    return {name: value(port["bits"][0]) for name, port in ports if port["direction"] == "output"}


class Chain(Draft):
    """Sums of ``bits`` bits, two a carry cell, the last perhaps of one."""

    def add(
        self,
        lefts: list[int | str],
        rights: list[int | str],
        cin: int | str,
        sub: int | str = "0",
        inits: Mapping[int, int] = MappingProxyType({}),
    ) -> list[int]:
        """Every sum is a port, "s0" and so on; the carry out of each cell. ``inits``: of halves that do not
        add."""
        carries = []
        for k in range(0, len(lefts), 2):
            pins = {"CIN": cin}
            for half in (0, 1):
                a, b = (side[k + half] if k + half < len(side) else "0" for side in (lefts, rights))
                pins |= {f"A{half}": a, f"B{half}": b, f"C{half}": sub, f"D{half}": "1"}
            *sums, cin = self.carry(f"layer.sum{k}", (inits.get(k, ADD), inits.get(k + 1, ADD)), **pins)
            for half, net in enumerate(sums[: len(lefts) - k]):
                self.output(f"s{k + half}", net)
            assert isinstance(cin, int)
            carries.append(cin)
        return carries


def taken(netlist: Netlist) -> int:
    return resources(netlist, list(netlist.cells.values())).luts


def ends(netlist: Netlist) -> tuple[bool, bool]:
    """Whether the first carry in and the last carry out are open, for which nextpnr adds no cell."""
    cells = [cell.content["connections"] for cell in netlist.cells.values() if cell.type == "CCU2C"]
    return "CIN" not in cells[0], "COUT" not in cells[-1]


@pytest.mark.parametrize("seed", range(300))
def test_sums_stay_what_they_are(seed: int) -> None:
    """Sums and differences of any width with any tables in front, of which some outputs are read."""
    rng = np.random.default_rng(seed)
    draft, bits = Chain(), int(rng.integers(1, 8))
    free = draft.nets(6)

    def operand(name: str) -> int | str:
        """A net, a constant, or a table of one to four of them."""
        items = [*free, "0", "1"]
        count = int(rng.integers(0, 5))
        chosen = [items[k] for k in rng.choice(len(items), max(1, count), replace=False)]
        if count == 0:
            return chosen[0]
        return draft.table(name, int(rng.integers(0, 1 << 16)), **dict(zip("ABCD", chosen, strict=False)))

    lefts, rights = ([operand(f"layer.{side}{k}") for k in range(bits)] for side in "lr")
    carry_in = [str(rng.integers(0, 2)), int(rng.choice(free))][int(rng.random() < 0.2)]
    sub = [str(rng.integers(0, 2)), int(rng.choice(free))][int(rng.random() < 0.3)]
    inits = {k: int(rng.integers(0, 1 << 16)) for k in range(bits) if rng.random() < 0.2}
    for k, carry in enumerate(draft.add(lefts, rights, carry_in, sub, inits)):
        if rng.random() < 0.2:
            draft.output(f"carry{k}", carry)
    for name in [*draft.ports]:
        if len(draft.ports) > 1 and rng.random() < 0.2:
            del draft.ports[name]
    if rng.random() < 0.3:
        shared = [net for net in lefts + rights if isinstance(net, int)] or free
        draft.output("shared", int(rng.choice(shared)))
    netlist = draft.netlist()
    every = (np.arange(1 << len(free))[:, None] >> np.arange(len(free)) & 1).T
    inputs = dict(zip(free, every, strict=True))
    expected = outputs(netlist, inputs, every[0])
    before = taken(netlist)
    trim_carries(netlist)
    assert taken(netlist) <= before + 1, seed
    for floating in (0, 1):
        found = outputs(netlist, inputs, np.full_like(every[0], floating))
        assert all(np.array_equal(found[name], expected[name]) for name in expected), seed


@pytest.mark.parametrize("carry", ["0", "1"])
@pytest.mark.parametrize("bits", range(1, 8))
def test_a_chain_takes_one_more_than_its_bits_at_most(bits: int, carry: str) -> None:
    draft = Chain()
    draft.add([*draft.nets(bits)], [*draft.nets(bits)], carry)
    netlist = draft.netlist()
    trim_carries(netlist)
    assert taken(netlist) == bits + 1
    assert ends(netlist) == (True, True)


@pytest.mark.parametrize("side", ["left", "right"])
def test_an_accumulator_that_begins_anew_needs_no_tables(side: str) -> None:
    """Each of its bits and "not the first" on one side, the term on the other."""
    draft = Chain()
    (first, *kept) = draft.nets(6)
    masked = [draft.table(f"t{k}", 0x2222, A=net, B=first) for k, net in enumerate(kept)]
    terms = [*draft.nets(5)]
    draft.add(*((masked, terms) if side == "left" else (terms, masked)), "0")
    netlist = draft.netlist()
    trim_carries(netlist)
    assert netlist.counts() == {"CCU2C": 3}


def test_a_first_sum_that_nobody_reads_takes_nothing() -> None:
    draft = Chain()
    draft.add([*draft.nets(2)], [*draft.nets(2)], "0")
    del draft.ports["s0"]
    netlist = draft.netlist()
    trim_carries(netlist)
    assert netlist.counts() == {"CCU2C": 1}


def test_a_table_that_somebody_else_reads_stays() -> None:
    draft = Chain()
    (one, two, *terms) = draft.nets(5)
    table = draft.table("t", 0x6666, A=one, B=two)
    draft.add([*terms], ["0", table, "0"], "0")
    draft.output("seen", table)
    netlist = draft.netlist()
    trim_carries(netlist)
    assert netlist.counts() == {"CCU2C": 2, "LUT4": 1}
    assert netlist.users[table] == [Pin("", "seen")]


def test_a_table_of_three_inputs_stays() -> None:
    draft = Chain()
    (one, two, three, *terms) = draft.nets(6)
    draft.add([*terms], ["0", draft.table("t", 0x9696, A=one, B=two, C=three), "0"], "0")
    netlist = draft.netlist()
    trim_carries(netlist)
    assert netlist.counts() == {"CCU2C": 2, "LUT4": 1}


def test_a_carry_that_is_read_keeps_its_chain() -> None:
    draft = Chain()
    *_, carry = draft.add([*draft.nets(4)], [*draft.nets(4)], "0")
    draft.output("carry", carry)
    netlist = draft.netlist()
    trim_carries(netlist)
    assert ends(netlist) == (False, False)
    assert netlist.counts() == {"CCU2C": 2}


def test_cells_that_take_no_carry_in_are_left_alone() -> None:
    draft = Chain()
    draft.add([*draft.nets(3)], [*draft.nets(3)], "0")
    draft.cells["layer.sum0"]["parameters"]["INJECT1_1"] = "YES"
    netlist = draft.netlist()
    trim_carries(netlist)
    assert ends(netlist) == (False, False)


def test_a_new_table_belongs_to_the_layer_of_its_chain() -> None:
    draft = Chain()
    draft.add([*draft.nets(2)], [*draft.nets(2)], "0")
    netlist = draft.netlist()
    trim_carries(netlist)
    assert {name.split(".")[0] for name in netlist.cells} == {"layer"}
    assert resources(netlist, list(netlist.cells.values())) == Resources(luts=3)
