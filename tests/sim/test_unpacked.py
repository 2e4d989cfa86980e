"""A packed bitstream, unpacked to Verilog again, gives what the golden model gives."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from codegen.budget import Budget
from codegen.errors import UserError
from codegen.fpga.boards import BOARDS, find_board
from codegen.ir import TestSet, save, save_test_set
from codegen.networks import find_network
from codegen.planner import make_plan
from codegen.steps import Steps
from sim.board import Model, compile_board, talk
from sim.unpacked import CELLS, check_unpacks, unpacked_text
from tests.commands import ROOT, command
from tests.networks import Chain

CHIP = """
module chip (output led_3__io, input clk12_0__io, output led_2__io, input uart_0__rx__io,
output uart_0__tx__io, input button_0__io);
wire n1, n2, led_2__io, n3;
wire led_3__io, uart_0__rx__io;
wire n4;

SB_PLL40_2_PAD #(
  .DIVR(4'b0000)
) PLL_12_31 (
  .PLLOUTCOREA(n9),
  .PLLOUTGLOBALA(n8),
  .PLLOUTGLOBALB(n3),
  .LOCK(n4),
  .BYPASS(n7)
);
assign led_2__io = n1;
endmodule
"""
PINS = ["clk12_0__io", "button_0__io", "uart_0__rx__io", "uart_0__tx__io", "led_2__io", "led_3__io"]


def test_pins_are_declared_once_and_clocks_come_from_the_bench() -> None:
    text = unpacked_text(CHIP, PINS)
    assert "SB_PLL40" not in text
    assert "wire n1, n2, n3;\n\nwire n4;" in text
    for net, source in (("n8", "bench_link_clk"), ("n3", "bench_clk"), ("n4", "1'b1")):
        assert f"assign {net} = {source};" in text
    assert ".uart_0__rx__io(rx), .uart_0__tx__io(tx), .button_0__io(~(rst | link_rst))" in text
    assert ".led_2__io(latest[0]), .led_3__io(latest[1])" in text and "latest[15:2] = 0" in text


def test_words_for_what_cannot_be_unpacked() -> None:
    with pytest.raises(UserError) as caught:
        unpacked_text("module chip (); endmodule\n", PINS)
    assert str(caught.value) == "an unpacked board must have one clock generator, not 0"
    with pytest.raises(UserError) as caught:
        check_unpacks(find_board("ulx3s"))
    assert str(caught.value) == (
        "a bitstream that is unpacked must be an iCE40's, and 'ulx3s' has another device; choose icebreaker"
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("icebox_vlog") is None, reason="icebox_vlog (fpga-icestorm) is not on PATH")
def test_a_host_talks_to_what_the_bits_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain(5, (5, 4, 2), 8).conv("conv", 3, bits=2, padding=(1, 1)).requantise("q", 2)
    made = chain.flatten().linear("fc", 7, bits=4).argmax().network()
    trained = tmp_path / "runs" / "small"
    trained.mkdir(parents=True)
    save(made, trained / "network.safetensors")
    images = np.random.default_rng(7).integers(0, 256, (20, 5, 4, 2)).astype(np.uint8)
    save_test_set(TestSet(images, made.run(images).ravel()), trained / "test.safetensors")

    done = command(tmp_path, "sim", "small", "--bitstream", "icebreaker")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 of 20 right, 100.00 %" in done.stdout
    assert "scores and classes: all equal to the golden model" in done.stdout
    assert ", as the last image" in done.stdout

    # One bit of each memory of the accelerator turned round: found out.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    folder = Path("build/small-icebreaker")
    chip = (folder / "icebreaker" / "unpacked" / "chip.v").read_text()
    pins = (folder / "icebreaker" / "unpacked" / "pins.pcf").read_text()
    clock = re.search(r"PLLOUTGLOBALB\((\w+)\)", chip)
    assert clock is not None

    def turn(memory: re.Match[str]) -> str:
        if f".RCLK({clock[1]})" not in memory[0]:
            return memory[0]
        return memory[0].replace(".INIT_0(256'h", ".INIT_0(256'h1 ^ 256'h")

    turned = re.sub(r"^SB_RAM40_4K #\(.*?^\);$", turn, chip, flags=re.MULTILINE | re.DOTALL)
    assert turned != chip
    text = unpacked_text(turned, [line.split()[1] for line in pins.splitlines()])
    model = Model(compile_board({"board.v": text}, [CELLS], ["-O1"]), BOARDS["icebreaker"].divisor)
    quiet = Steps(Console(quiet=True))
    plan = make_plan(find_network("small"), Budget(plan=folder / "plan.toml"), quiet)
    assert talk(model, plan, folder, ["small"]).status == 1
