"""The Verilog of a build in other people's tools, from other folders, with files lost."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console

from codegen.budget import Budget
from codegen.build import build
from codegen.fpga.system import System
from codegen.ir import IntegerNetwork, save
from codegen.manifest import read_manifest
from codegen.networks import find_network
from codegen.plan import Plan
from codegen.steps import Steps
from codegen.verilog import ROM_FILE, verilog_text
from sim.verilator import launcher
from tests.networks import Chain

IMAGES = 8  # of the vectors in a build

WAIVED = {
    "CASEOVERLAP": "a choice between several is a casez on selects of which one at most is high",
    "DECLFILENAME": "all modules of a design are in one file",
    "PROCASSINIT": "a register has a value at power-up and another in each cycle",
    "UNDRIVEN": "a sum may be narrower than its wire, whose high bits are then copies that nobody reads",
    "UNOPTFLAT": "bits of one vector depend on lower bits of the same vector, and on no loop",
    "UNUSEDSIGNAL": "what a component offers and its neighbour does not need",
    "WIDTHEXPAND": "constants and operands are as narrow as their values, as Yosys writes them",
    "WIDTHTRUNC": "a number is used as the truth that it is not 0",
    "SYNCASYNCNET": "a reset is held by the clock of each domain",
}
"""Warnings of `verilator --lint-only -Wall` that say nothing wrong, and why."""

iverilog = pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not on PATH")

BENCH = """\
`timescale 1ns/1ns
module bench;
    reg clk = 0, rst = 1;
    always #1 clk = ~clk;
    reg [{in_width}-1:0] beats [0:{in_beats}-1];
    reg [{out_width}-1:0] answers [0:{out_beats}-1];
    reg go = 0, take = 0;
    integer sent = 0, got = 0, cycle = 0, seed = {seed};
    wire [{in_width}-1:0] payload = beats[sent < {in_beats} ? sent : 0];
    wire ready, valid;
    wire [{out_width}-1:0] answer;
    wire offered = go && sent < {in_beats};
    accelerator dut(
        .clk(clk), .rst(rst), .i__valid(offered), .i__ready(ready),
        .i__payload(offered ? payload : {in_width}'bx),
        .o__valid(valid), .o__ready(take), .o__payload(answer)
    );
    initial begin
        $readmemh("{vectors}/i.hex", beats);
        $readmemh("{vectors}/o.hex", answers);
        repeat (4) @(negedge clk);
        rst = 0;
    end
    always @(posedge clk) if (!rst) begin
        cycle <= cycle + 1;
        if (offered && ready) sent <= sent + 1;
        if (valid && take) begin
            if (answer !== answers[got]) begin
                $display("beat %0d: expected %h, got %h", got, answers[got], answer);
                $finish;
            end
            got <= got + 1;
            if (got == {out_beats} - 1) begin
                $display("%0d beats are equal", {out_beats});
                $finish;
            end
        end
        if (cycle == 1000000) begin
            $display("nothing comes");
            $finish;
        end
    end
    always @(negedge clk) begin
        go = $random(seed) % 4 != 0;
        take = $random(seed) % 4 != 0;
    end
endmodule
"""


def padded() -> IntegerNetwork:
    """Several channels and padding everywhere: every choice that an engine makes."""
    chain = Chain(3, (9, 8, 5), 8).conv("conv", 6, padding=(1, 1)).requantise("q", 4)
    chain = chain.pool("pool", (3, 3), (2, 2), (1, 1)).conv("conv2", 4, padding=(2, 1), stride=(2, 1))
    chain = chain.requantise("q2", 3, per_channel=True).flatten().linear("fc", 7, bits=8)
    return chain.argmax().network("padded")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    folder = tmp_path_factory.mktemp("padded")
    save(padded(), folder / "network.safetensors")
    source = find_network(str(folder))
    return folder / "out", build(source, folder / "out", Budget(lanes=24), Steps(Console(quiet=True)))


@cache
def board_text(plan: Plan) -> str:
    return verilog_text(System(plan, 25), "board")


def test_no_function_is_called_like_a_system_function(built: tuple[Path, Plan]) -> None:
    """Icarus takes `$procmux$1257(..)` for one of its own, escaped or not."""
    folder, plan = built
    for text in ((folder / "accelerator.v").read_text(), board_text(plan)):
        functions = re.findall(r"^\s*function .*?(\S+?)\s*;", text, re.MULTILINE)
        assert len(functions) > 5 and not [name for name in functions if "$" in name]


def bench_text(folder: Path, seed: int) -> str:
    """A bench that pauses at random, drives unknowns where it offers nothing, and wants the vectors."""
    streams = {stream.name: stream.format for stream in read_manifest(folder).streams}
    beats = {name: len((folder / f"vectors/{name}.hex").read_text().split()) for name in ("i", "o")}
    return BENCH.format(
        in_width=streams["i"].width,
        in_beats=beats["i"],
        out_width=streams["o"].width,
        out_beats=beats["o"],
        vectors=folder / "vectors",
        seed=seed,
    )


def icarus(folder: Path, *arguments: str | Path) -> str:
    """What iverilog and then the simulation said, in ``folder``."""
    compiled = subprocess.run(
        ["iverilog", "-Wall", "-o", "simulation", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (compiled.returncode, compiled.stdout + compiled.stderr) == (0, "")
    done = subprocess.run(
        ["vvp", "-n", "simulation"], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.slow
@iverilog
@pytest.mark.parametrize("language", ["2005", "2012"])
@pytest.mark.parametrize("seed", [1, 2])
def test_icarus_gives_the_vectors_whatever_is_unknown(
    language: str, seed: int, built: tuple[Path, Plan], tmp_path: Path
) -> None:
    """From another folder, with values of four states: a bit that nobody drives would make the class x."""
    folder, _ = built
    (tmp_path / "bench.v").write_text(bench_text(folder, seed))
    sources = [tmp_path / "bench.v", folder / "accelerator.v", folder / ROM_FILE]
    here = f'-DINTANDEM_FOLDER="{folder}"'
    options = [f"-g{language}", "-Wno-timescale", "-Wno-portbind"]
    assert icarus(tmp_path, *options, here, *sources).splitlines()[0] == f"{IMAGES} beats are equal"
    lost = icarus(tmp_path, *options, *sources)
    assert "FATAL" in lost and "rom/conv.pe0.lane0.hex' must be there and is not" in lost
    assert "beats are equal" not in lost


@pytest.mark.slow
@iverilog
@pytest.mark.parametrize("language", ["2005", "2012"])
def test_icarus_takes_a_board(language: str, built: tuple[Path, Plan], tmp_path: Path) -> None:
    folder, plan = built
    (tmp_path / "board.v").write_text(board_text(plan))
    icarus(folder, f"-g{language}", tmp_path / "board.v", folder / ROM_FILE)


@pytest.mark.slow
def test_verilator_finds_nothing_that_is_not_waived(built: tuple[Path, Plan], tmp_path: Path) -> None:
    folder, plan = built
    (tmp_path / "accelerator.v").write_text((folder / "accelerator.v").read_text())
    (tmp_path / "board.v").write_text(board_text(plan))
    found = set()
    for top in ("accelerator", "board"):
        command = [launcher(), "--lint-only", "-Wall", "-Wno-fatal", "--top-module", top, f"{top}.v"]
        done = subprocess.run(
            [*command, folder / ROM_FILE], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        told = re.findall(r"^%(?:Warning|Error)-?(\w*): (.*)", done.stderr, re.MULTILINE)
        assert not [(kind, message) for kind, message in told if kind not in WAIVED]
        found |= {kind for kind, _ in told}
    assert found == set(WAIVED), "a waiver that nothing needs"
