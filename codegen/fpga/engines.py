"""The matrix-vector unit alone on a device: `python -m codegen.fpga.engines`, a part of `make bench-hw`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Signal, Value
from rich.console import Console
from rich.table import Table

from codegen.files import held
from codegen.program import guarded
from codegen.steps import Steps
from codegen.verilog import ROM_FILE, ROM_SOURCE
from hw.matrix_vector import ArrayShape, MatrixVectorUnit

from .devices import Device, Resources, find_device
from .synthesis import resources, synthesise
from .target import place_alone

__all__ = ["SHAPES", "main", "measure"]

PLACE = Path("build/bench-hw/engines")
DEVICE = "ecp5-85k"
SHAPES = ((8, 8, 8), (4, 16, 8), (2, 32, 8), (1, 32, 32))
"""Bits of weights and codes, PE, SIMD."""
_MHZ = 250
_STEPS = 64


def measure(bits: int, pe: int, simd: int, device: Device) -> tuple[Resources, float]:
    """What a unit takes whose windows have 64 steps, its sums as wide as any weights need, and the highest
    clock in MHz, between registers for its pins, which do not count.

    Raises ``UserError`` if a tool fails or the device is too small.
    """
    name, top = f"w{bits}a{bits}", "engine"
    with held(PLACE):
        PLACE.mkdir(parents=True, exist_ok=True)
        (PLACE / ROM_FILE).write_text(ROM_SOURCE)
        netlist = synthesise(_design(bits, pe, simd, top), top, device, PLACE, name)
        taken = resources(netlist, list(netlist.cells.values()))
        return taken, place_alone(netlist, device, PLACE, name, _MHZ).mhz


def _design(bits: int, pe: int, simd: int, top: str) -> str:
    high = (1 << bits) - 1
    raw, total = high * high * simd * _STEPS, high * simd * _STEPS
    unit = MatrixVectorUnit(ArrayShape(pe, simd, bits, bits, raw, total, -raw, raw))
    members = (Value.cast(member) for _, _, member in unit.signature.flatten(unit))
    ports = [member for member in members if isinstance(member, Signal)]  # not what is always ready
    return rtlil.convert(unit, name=top, ports=ports, emit_src=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m codegen.fpga.engines",
        description="Place and route the matrix-vector unit alone on an ECP5, at four widths, and print its "
        "area and clock.",
    )
    parser.add_argument("--device", default=DEVICE, help="the device (default %(default)s)")
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(find_device(options.device)))


def _run(device: Device) -> int:
    steps = Steps(Console(stderr=True))
    table = Table(title=f"one matrix-vector unit on {device.name}", title_justify="left")
    for title in ("", "PE", "SIMD", "LUT4", "FF", "mult", "MHz", "GMAC/s"):
        table.add_column(title, justify="right" if title else "left")
    for bits, pe, simd in SHAPES:
        with steps.step("engine", f"W{bits}A{bits}, {pe} PE of {simd} lanes"):
            taken, mhz = measure(bits, pe, simd, device)
        sizes = (pe, simd, taken.luts, taken.ffs, taken.multipliers)
        rate = pe * simd * mhz / 1000
        table.add_row(f"W{bits}A{bits}", *(f"{size:,}" for size in sizes), f"{mhz:.1f}", f"{rate:.1f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
