"""A packed iCE40 bitstream in the simulator: unpacked to the bits of the device, and these to Verilog again.

Between the netlist and this lie place, route and pack, all of which the bits alone have to stand for. The
clock generator is replaced by the two clocks of the bench; what it would make of a clock nobody can simulate
bit for bit.
"""

import re
from pathlib import Path

from codegen.errors import UserError
from codegen.files import held
from codegen.fpga.boards import Board
from codegen.fpga.devices import Family
from codegen.fpga.tools import CELL_MODELS, run

from .board import TOP, Model, compile_board

__all__ = ["CELLS", "check_unpacks", "unpacked_model", "unpacked_text"]

CELLS = CELL_MODELS / "ice40" / "cells_sim.v"
"""Yosys' models of the cells that unpacked Verilog still has."""

_GENERATOR = re.compile(r"^SB_PLL40_2_PAD #\(.*?^\);\n", re.MULTILINE | re.DOTALL)

_WRAPPER = """
module {top}(input clk, rst, link_clk, link_rst, rx, output tx, output [15:0] latest);
    chip chip(.bench_clk(clk), .bench_link_clk(link_clk), .{rx}(rx), .{tx}(tx), .{button}(~(rst | link_rst)),
        {leds});
    assign latest[15:{count}] = 0;
endmodule
"""


def check_unpacks(board: Board) -> None:
    """Raises ``UserError`` for a board whose bitstream cannot be unpacked to Verilog."""
    if board.device.family is not Family.ICE40:
        raise UserError(
            f"a bitstream that is unpacked must be an iCE40's, and '{board.name}' has another device; choose "
            "icebreaker"
        )


def unpacked_model(file: Path, board: Board, build: Path) -> Model:
    """The compiled model of what the bitstream ``file`` makes of a board, made in the folder ``build``.

    Raises ``UserError`` if a tool fails or is not installed.
    """
    with held(build / board.name / "unpacked"):
        return _unpacked(file, board, build, f"{board.name}/unpacked")


def _unpacked(file: Path, board: Board, build: Path, place: str) -> Model:
    (build / place).mkdir(parents=True, exist_ok=True)
    (build / place / "packed.bin").write_bytes(file.read_bytes())
    pins = [
        line
        for line in (build / board.name / "board.pcf").read_text().splitlines()
        if line.startswith("set_io")
    ]
    (build / place / "pins.pcf").write_text("\n".join([*pins, ""]))
    run("icepack", ["-u", f"{place}/packed.bin", f"{place}/chip.asc"], build, f"{place}/icepack.log")
    arguments = ["-s", "-S", "-c", "-p", f"{place}/pins.pcf", f"{place}/chip.asc"]
    run("icebox_vlog", arguments, build, f"{place}/chip.v")
    names = [line.split()[1] for line in pins]
    text = unpacked_text((build / place / "chip.v").read_text(), names)
    return Model(compile_board({"board.v": text}, [CELLS], ["-O1"]), board.divisor)


def _undeclared(chip: str, pins: list[str]) -> str:
    """Without the second declaration of each pin, as a wire beside the port."""

    def remaining(wires: re.Match[str]) -> str:
        names = [name for name in wires[1].split(", ") if name not in pins]
        return f"wire {', '.join(names)};" if names else ""

    return re.sub(r"^wire (.*);$", remaining, chip, flags=re.MULTILINE)


def unpacked_text(chip: str, pins: list[str]) -> str:
    """What icebox_vlog wrote, with two clocks for the clock generator, in a module with the ports of the
    bench. ``pins``: the names of the chip's own."""
    generators = _GENERATOR.findall(chip)
    if len(generators) != 1:
        raise UserError(f"an unpacked board must have one clock generator, not {len(generators)}")
    nets = dict(re.findall(r"\.(\w+)\((\w+)\)", generators[0]))
    clocks = (
        f"assign {nets['PLLOUTGLOBALA']} = bench_link_clk;\n"
        f"assign {nets['PLLOUTGLOBALB']} = bench_clk;\n"
        f"assign {nets['LOCK']} = 1'b1;\n"
    )
    chip = _undeclared(chip.replace(generators[0], clocks), pins)
    chip = chip.replace("module chip (", "module chip (input bench_clk, input bench_link_clk, ", 1)
    leds = sorted(name for name in pins if name.startswith("led_"))
    found = {part: next(name for name in pins if part in name) for part in ("rx", "tx", "button")}
    shown = ", ".join(f".{name}(latest[{k}])" for k, name in enumerate(leds))
    return chip + _WRAPPER.format(top=TOP, leds=shown, count=len(leds), **found)
