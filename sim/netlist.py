"""The netlist of an accelerator in the simulator: the cells of the device instead of our Verilog."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codegen.accelerator import Taps
from codegen.files import held
from codegen.fpga.devices import Device, Family
from codegen.fpga.implement import netlist_of
from codegen.fpga.synthesis import NETLIST
from codegen.fpga.target import Alone
from codegen.fpga.tools import CELL_MODELS, run
from codegen.manifest import streams
from codegen.networks import Source
from codegen.plan import Plan

from .ports import Direction, StreamPort
from .scoreboard import Expectation
from .verilator_bench import Verdict, VerilatorBench

__all__ = ["NetlistOutcome", "simulate_netlist"]

_CELLS = Path(__file__).parent / "cells"

# Ours come first: of two modules of one name Verilator takes the first, and Yosys' own of these are empty.
_MODELS = {
    Family.ECP5: (_CELLS / "ecp5_blocks.v", CELL_MODELS / "lattice" / "cells_sim_ecp5.v"),
    Family.ICE40: (CELL_MODELS / "ice40" / "cells_sim.v",),
}


@dataclass(frozen=True)
class NetlistOutcome:
    """What a netlist sent, held against golden model and cycle model; ``values`` were compared."""

    verdict: Verdict
    values: int


def simulate_netlist(
    folder: Path, plan: Plan, source: Source, images: NDArray[np.integer], device: Device
) -> NetlistOutcome:
    """Runs images back to back through the netlist of a built accelerator, and compares every output, scores
    and class, with the golden model, by equality, and its cycle with the prediction."""
    with held(folder / device.name):
        return _simulated(folder, plan, source, images, Alone(plan, device))


def _simulated(
    folder: Path, plan: Plan, source: Source, images: NDArray[np.integer], target: Alone
) -> NetlistOutcome:
    device = target.device
    netlist_of(target, folder)
    (folder / device.name / "verilog.ys").write_text(
        f"read_json {device.name}/{NETLIST}\nwrite_verilog -noattr {device.name}/netlist.v\n"
    )
    run("yosys", ["-q", f"{device.name}/verilog.ys"], folder, f"{device.name}/verilog.out")
    sent = streams(plan, Taps.SCORES)
    ports = tuple(StreamPort(one.name, Direction(one.direction), one.format) for one in sent)
    models = _MODELS[device.family]
    sources = (*models, folder / device.name / "netlist.v")
    bench = VerilatorBench(
        target.top, sources, ports, folder / device.name, flags=("-O0",), includes=(models[-1].parent,)
    )
    values = {"input": images.astype(np.int64)} | source.network.trace(images)
    expectations = [
        Expectation(one.name, one.layer, values[one.node].reshape(len(images), *one.shape))
        for one in sent
        if one.node is not None
    ]
    prediction = plan.predict(len(images))
    outputs = prediction.outputs or prediction.layers[-1].beats
    outcome = bench.compare(
        {"i": plan.input.pack(values["input"])},
        {"o": len(outputs)},
        expectations=expectations,
        predicted={"i": prediction.inputs, "o": outputs},
    )
    return NetlistOutcome(outcome.verdict, sum(one.values.size for one in expectations))
