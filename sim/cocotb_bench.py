"""The cocotb test: starts the clock, lets the bench run, then holds every beat against the golden model.

The bench in Verilog moves the data (bench.v); this wakes up twice, so a whole network runs at Verilator's
own speed. It runs in a folder of its own and finds its orders there, in ``orders.json``.
"""

import json
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import HierarchyObject, LogicObject
from cocotb.triggers import ClockCycles, RisingEdge

from codegen.beats import BeatFormat
from sim.ports import Direction, StreamPort
from sim.scoreboard import Expectation, compare, compare_cycles
from sim.verilator_bench import end_states, read_record
from sim.watchdog import stuck_message


@cocotb.test()
async def every_beat_is_equal(dut: HierarchyObject) -> None:
    """Runs the design and compares every value and every cycle that there is an expectation of."""
    clk, rst, finished = (_signal(dut, name) for name in ("clk", "rst", "finished"))
    rst.value = 1
    Clock(clk, 2, unit="ns").start()
    await ClockCycles(clk, 4)
    rst.value = 0
    await RisingEdge(finished)
    verdict = judge(Path())
    Path("verdict.json").write_text(json.dumps(verdict))
    assert not any(verdict.values()), verdict


def _signal(dut: HierarchyObject, name: str) -> LogicObject:
    signal = getattr(dut, name)
    assert isinstance(signal, LogicObject)
    return signal


def judge(folder: Path) -> dict[str, object]:
    """The verdict over what the probes wrote down."""
    orders = json.loads((folder / "orders.json").read_text())
    ports = [StreamPort(name, Direction(kind), BeatFormat(*form)) for name, kind, *form in orders["ports"]]
    states = end_states(folder, ports)
    record = read_record(folder, ports)
    last = max(int(record[port.name].cycles.max(initial=-1)) for port in ports)
    expectations = [
        Expectation(stream, layer, np.load(folder / f"{stream}.expected.npy"))
        for stream, layer in orders["expectations"]
    ]
    predicted = {name: np.load(folder / f"{name}.predicted.npy") for name in orders["predicted"]}
    missing = [
        port.name
        for port in ports
        if port.direction is Direction.OUTPUT
        and len(record[port.name].cycles) < orders["expected"][port.name]
    ]
    stuck = stuck_message(
        {name: state[:2] for name, state in states.items() if not name.startswith("start_")}, last
    )
    return {
        "stuck": stuck if missing else "",
        "broken": [name for name, state in states.items() if state[2]],
        "values": [[found.layer, found.message, found.count] for found in compare(record, expectations)],
        "cycles": [
            [found.layer, found.message, found.count]
            for found in compare_cycles(record, predicted, stalled=orders["stalled"])
        ],
    }
