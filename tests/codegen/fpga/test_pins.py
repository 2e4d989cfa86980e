"""Registers around a design that is placed alone, instead of pins."""

import pytest

from codegen.fpga.devices import Family
from codegen.fpga.netlist import Netlist, Pin
from codegen.fpga.pins import register_pins


@pytest.mark.parametrize(
    ("family", "kind", "pins"),
    [(Family.ECP5, "TRELLIS_FF", ("CLK", "DI", "Q")), (Family.ICE40, "SB_DFF", ("C", "D", "Q"))],
)
def test_every_bit_but_the_clock_ends_in_a_register(
    family: Family, kind: str, pins: tuple[str, str, str]
) -> None:
    table = {
        "type": "LUT4",
        "parameters": {},
        "port_directions": {"A": "input", "B": "input", "Z": "output"},
        "connections": {"A": [3], "B": [4], "Z": [5]},
    }
    ports = {
        "clk": {"direction": "input", "bits": [2]},
        "i": {"direction": "input", "bits": [3, 4]},
        "o": {"direction": "output", "bits": [5, "0"]},
    }
    netlist = Netlist({"modules": {"top": {"ports": ports, "cells": {"table": table}}}}, "top")
    register_pins(netlist, family)
    assert {name: port["bits"] for name, port in netlist.module["ports"].items()} == {
        "clk": [2],
        "chain": [6],
    }
    assert netlist.counts() == {"LUT4": 1, kind: 4}
    clock, source, sink = pins
    ways = [(cell.net(source), cell.net(sink)) for cell in netlist.cells.values() if cell.type == kind]
    assert ways == [(6, 3), (3, 4), (5, 7), ("0", 8)]
    assert all(cell.net(clock) == 2 for cell in netlist.cells.values() if cell.type == kind)
    assert netlist.drivers[3] == Pin("pin.i.0", sink)
    assert netlist.users[5] == [Pin("pin.o.0", source)]
