"""The matrix-vector unit alone: what is placed, and the table that is printed."""

from pathlib import Path

import pytest

from codegen.fpga import engines
from codegen.fpga.devices import Device, Resources, find_device
from codegen.fpga.engines import SHAPES, main, measure
from codegen.fpga.netlist import Netlist
from codegen.fpga.placement import Placement


def test_a_unit_is_placed_between_registers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    placed: list[Netlist] = []

    def place(netlist: Netlist, device: Device, build: Path, name: str, mhz: float) -> Placement:
        placed.append(netlist)
        return Placement(200.0, Resources())

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(engines, "place_alone", place)
    taken, mhz = measure(4, 2, 3, find_device("ecp5-85k"))
    assert mhz == 200.0
    assert taken.multipliers == 3, "one for two weights of a code"
    assert taken.memories == 0
    widths = {name: len(port["bits"]) for name, port in placed[0].module["ports"].items()}
    assert (widths["i__payload"], widths["weights"]) == (14, 24)
    assert "o__ready" not in widths


def test_every_shape_has_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        engines, "measure", lambda bits, pe, simd, device: (Resources(bits, pe, 0, simd), 125.0)
    )
    assert main([]) == 0
    printed = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "W" in line]
    assert rows == [
        [f"W{bits}A{bits}", *map(str, (pe, simd, bits, pe, simd)), "125.0", f"{pe * simd / 8:.1f}"]
        for bits, pe, simd in SHAPES
    ]


def test_an_unknown_device_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--device", "ecp5-86k"]) == 2
    assert "did you mean 'ecp5-85k'?" in capsys.readouterr().err
