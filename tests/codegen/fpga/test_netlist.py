"""A netlist is read as Yosys wrote it, and counted."""

import json
from pathlib import Path

import pytest

from codegen.errors import UserError
from codegen.fpga.devices import DEVICES, Resources, find_device
from codegen.fpga.implement import check_fits
from codegen.fpga.netlist import Netlist, Pin
from codegen.fpga.synthesis import resources
from codegen.fpga.target import layer_of

CONTENT = {
    "modules": {
        "top": {
            "ports": {
                "clk": {"direction": "input", "bits": [2]},
                "o": {"direction": "output", "bits": [5, "0"]},
            },
            "cells": {
                "conv1.array.x": {
                    "type": "LUT4",
                    "parameters": {"INIT": "0"},
                    "port_directions": {"A": "input", "B": "input", "Z": "output"},
                    "connections": {"A": [3], "B": [], "Z": [5]},
                },
                "conv1.y": {
                    "type": "CCU2C",
                    "parameters": {},
                    "port_directions": {"A0": "input", "S": "output"},
                    "connections": {"A0": [5], "S": [6, 7]},
                },
                "alone": {
                    "type": "TRELLIS_FF",
                    "parameters": {},
                    "port_directions": {"DI": "input", "Q": "output"},
                    "connections": {"DI": [7], "Q": [3]},
                },
                "scope": {"type": "$scopeinfo", "parameters": {}, "port_directions": {}, "connections": {}},
            },
        }
    }
}


@pytest.fixture
def netlist(tmp_path: Path) -> Netlist:
    (tmp_path / "n.json").write_text(json.dumps(CONTENT))
    return Netlist.read(tmp_path / "n.json", "top")


def test_nets_know_who_drives_and_who_reads_them(netlist: Netlist) -> None:
    assert netlist.drivers[7] == Pin("conv1.y", "S")
    assert netlist.users[7] == [Pin("alone", "DI")]
    assert netlist.users[5] == [Pin("", "o"), Pin("conv1.y", "A0")]
    lut = netlist.cells["conv1.array.x"]
    assert (lut.net("A"), lut.net("B"), lut.net("C")) == (3, "0", "0")


def test_cells_are_counted_by_type_and_by_part(netlist: Netlist) -> None:
    assert netlist.counts() == {"LUT4": 1, "CCU2C": 1, "TRELLIS_FF": 1}
    parts = netlist.parts(layer_of)
    assert {part: [cell.type for cell in cells] for part, cells in parts.items()} == {
        "conv1": ["LUT4", "CCU2C"],
        "between": ["TRELLIS_FF"],
    }
    assert resources(netlist, parts["conv1"]) == Resources(luts=3)
    assert resources(netlist, parts["between"]) == Resources(ffs=1)


def test_a_flip_flop_of_an_ice40_shares_a_cell_with_the_table_before_it() -> None:
    def cell(kind: str, **pins: int) -> dict[str, object]:
        directions = {pin: "output" if pin in "OQ" else "input" for pin in pins}
        nets = {pin: [net] for pin, net in pins.items()}
        return {"type": kind, "parameters": {}, "port_directions": directions, "connections": nets}

    cells = {
        "table": cell("SB_LUT4", I0=2, O=10),
        "shares": cell("SB_DFFE", D=10, Q=11),
        "read by two": cell("SB_LUT4", I0=2, O=12),
        "first": cell("SB_DFF", D=12, Q=13),
        "second": cell("SB_DFF", D=12, Q=14),
        "behind another": cell("SB_DFFSR", D=13, Q=15),
        "behind a pin": cell("SB_DFF", D=2, Q=16),
    }
    netlist = Netlist({"modules": {"top": {"ports": {}, "cells": cells}}}, "top")
    assert resources(netlist, list(netlist.cells.values())) == Resources(luts=2 + 4, ffs=5)


def test_what_is_removed_and_connected_is_written(netlist: Netlist, tmp_path: Path) -> None:
    netlist.cells["conv1.y"].connect("A0", 3)
    netlist.remove({"alone"})
    netlist.write(tmp_path / "again.json")
    again = Netlist.read(tmp_path / "again.json", "top")
    assert set(again.cells) == {"conv1.array.x", "conv1.y", "scope"}
    assert again.users[3] == [Pin("conv1.array.x", "A"), Pin("conv1.y", "A0")]
    assert 3 not in again.drivers


def test_resources_add_up() -> None:
    assert Resources(1, 2, 3, 4) + Resources(10, 20, 30, 40) == Resources(11, 22, 33, 44)


def test_devices_say_what_can_be_used() -> None:
    large, small = find_device("ecp5-85k"), DEVICES["ice40-up5k"]
    assert large.usable == Resources(50_184, 50_184, 187, 130)
    assert large.memory == 208 * 18 * 1024
    assert small.usable == Resources(3_168, 3_168, 27, 0) and small.memory == 30 * 4 * 1024


def test_what_a_device_lacks_is_said_at_once() -> None:
    device = DEVICES["ice40-up5k"]
    check_fits("net", device, device.limit)
    with pytest.raises(UserError) as caught:
        check_fits("net", device, Resources(6_000, 10, 31, 0))
    assert str(caught.value) == (
        "'net' must fit ice40-up5k with a quarter of its logic left to place and route, and takes "
        "6,000 LUT4 of 3,960, 31 blocks of RAM of 30; give it other --lanes, or train it with fewer bits"
    )
