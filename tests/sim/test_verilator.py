"""The simulator that comes from the wheel, built and run in a folder whose name has a space."""

import re
import subprocess
from pathlib import Path

import pytest
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from codegen.errors import UserError
from sim import verilator
from sim.verilator import CACHE, launcher, simulator, verilate

COUNTER = """
`ifdef WIDE
  `define WIDTH 16
`else
  `define WIDTH 8
`endif
module counter(input clk, input en, output reg [`WIDTH-1:0] q);
  initial q = 0;
  always @(posedge clk) if (en) q <= q + 1;
endmodule
"""
BENCH = """
import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles

@cocotb.test()
async def counts(dut):
    dut.en.value = 1
    Clock(dut.clk, 2, "ns").start()
    await ClockCycles(dut.clk, 6)
    assert int(dut.q.value) == 5
"""


def build(folder: Path, *options: str) -> Path:
    source = folder / "counter.v"
    source.write_text(COUNTER)
    return verilate([source], "counter", folder / "build", options=["--public-flat-rw", *options])


@pytest.mark.parametrize("unit_bytes", [verilator.UNIT_BYTES, 1_000], ids=["one unit", "several units"])
def test_counter_counts(unit_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verilator, "UNIT_BYTES", unit_bytes)
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "a folder"
    folder.mkdir()
    (tmp_path / "counter_bench.py").write_text(BENCH)
    simulator = build(folder, "--output-split", "100")
    results = get_runner("verilator").test(
        "counter_bench", "counter", hdl_toplevel_lang="verilog", build_dir=simulator.parent
    )
    assert get_results(results) == (1, 0)


def compiled(folder: Path, *options: str) -> Path:
    source = folder / "counter.v"
    source.write_text(COUNTER)
    return simulator("counter", "counter", {}, [source], options=options, flags=("-O0",))


def test_a_simulation_is_compiled_once_and_anew_when_it_changes_or_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path / "models"))
    program = compiled(tmp_path) / "counter"
    content, inode = program.read_bytes(), program.stat().st_ino
    assert compiled(tmp_path) == program.parent and program.stat().st_ino == inode
    assert compiled(tmp_path, "-DWIDE") != program.parent
    program.write_bytes(content[: len(content) // 2])
    compiled(tmp_path)
    assert program.read_bytes() == content


@pytest.mark.slow
def test_a_damaged_runtime_library_is_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    build(tmp_path)
    objects = sorted((tmp_path / "cache").rglob("*.o"))
    objects[0].write_bytes(b"half an object")
    build(tmp_path)
    assert objects[0].read_bytes() != b"half an object"


def test_launcher_says_its_version_as_cocotb_reads_it() -> None:
    said = subprocess.run([launcher(), "--version"], capture_output=True, text=True, check=True).stdout
    assert re.match(r"Verilator 5\.0(3[6-9]|[4-9]\d) ", said)  # cocotb takes 5.036 and newer


def test_broken_verilog_is_reported_in_verilators_words(tmp_path: Path) -> None:
    source = tmp_path / "broken.v"
    source.write_text("module broken(;\nendmodule\n")
    with pytest.raises(UserError, match=r"(?s)^verilator failed with status 1:\n.*broken.v:1:.*syntax error"):
        verilate([source], "broken", tmp_path / "build")


def test_missing_compiler_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"^g\+\+ must be installed .* \(apt install g\+\+\)$"):
        build(tmp_path)
