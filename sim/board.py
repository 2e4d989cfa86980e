"""A whole board in the simulator, and the real host program on the other end of its serial line."""

import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cocotb_tools.runner import get_runner

from codegen.errors import UserError
from codegen.files import held, put, scratch
from codegen.fpga.system import System
from codegen.plan import Plan
from codegen.program import run_child
from codegen.verilog import ROM_FILE, verilog_text

from .harness import visible_signals
from .verilator import last_words, simulator
from .verilator_bench import FLAGS, OPTIONS

__all__ = ["TOP", "Model", "Talk", "board_model", "compile_board", "talk"]

TOP = "board"
FOLDER = "sim-board"

_DIVISOR = 25
_PINS = ("clk", "rst", "link_clk", "link_rst", "rx", "tx", "latest")
_START_SECONDS = 120
_END_SECONDS = 60
_ANSWER_SECONDS, _NOISY_SECONDS = 60, 3
"""What the host waits for an answer: with noise some get lost, and it would rather ask again."""


@dataclass(frozen=True)
class Model:
    """A compiled board, in ``directory``, with so many cycles of the link's clock for a bit."""

    directory: Path
    divisor: int


def board_model(plan: Plan, folder: Path) -> Model:
    """A board that carries the accelerator built in ``folder``: all but pins and clock generator."""
    text = verilog_text(System(plan, _DIVISOR), TOP)
    return Model(compile_board({"board.v": text, ROM_FILE: (folder / ROM_FILE).read_text()}), _DIVISOR)


def compile_board(
    texts: Mapping[str, str], models: Sequence[Path] = (), flags: Sequence[str] = FLAGS
) -> Path:
    """The folder of the compiled module ``board`` of some Verilog, with ``models`` of the cells in it; made
    only if this very one is not there. It has the ports of ``System`` and a clock and a reset for each of its
    domains."""
    options = [*OPTIONS, *(f"-I{path.parent}" for path in models), "-DNO_ICE40_DEFAULT_ASSIGNMENTS"]
    texts = {"visible.vlt": visible_signals(TOP, _PINS), **texts}
    return simulator(TOP, TOP, texts, models, options=options, flags=flags)


@dataclass(frozen=True)
class Talk:
    """``status``: the host program's exit status; ``latest``: the class that the board's LEDs show at the
    end."""

    status: int
    latest: int


def talk(model: Model, plan: Plan, folder: Path, host: Sequence[str], noise: float = 0.0) -> Talk:
    """Runs the host program with arguments ``host`` against a simulated board, with the ROM files in
    ``folder``.

    ``noise``: the probability that a byte on the line comes with a bit turned round, either way.
    Raises ``UserError`` if the simulation does not start, or ends before the host program does.
    """
    quiet = 100_000 + 2 * 27 * plan.predict(1).first_image_latency
    with scratch(folder / FOLDER) as place:
        (place / "rom").symlink_to("../rom")
        (place / "orders.json").write_text(
            json.dumps({"divisor": model.divisor, "noise": noise, "quiet_ns": quiet})
        )
        try:
            return _talk(model, place, folder / FOLDER / "cocotb.log", host, noise)
        finally:
            with held(folder / FOLDER):
                put(place, folder / FOLDER)


def _talk(model: Model, place: Path, log: Path, host: Sequence[str], noise: float) -> Talk:
    simulation = threading.Thread(target=_simulate, args=(model.directory, place), daemon=True)
    simulation.start()
    try:
        port = _port(place, log, simulation)
        seconds = str(_NOISY_SECONDS if noise else _ANSWER_SECONDS)
        status = run_child("host", *host, "--port", port, "--timeout", seconds)
    finally:
        (place / "stop").touch()
        simulation.join(_END_SECONDS)
    if not (place / "told.json").exists():
        raise UserError(f"the simulation must end when the host does, and did not; its log is {log}")
    return Talk(status, json.loads((place / "told.json").read_text())["latest"])


def _simulate(directory: Path, place: Path) -> None:
    with suppress(SystemExit, RuntimeError):
        get_runner("verilator").test(
            "sim.serial_bench",
            TOP,
            hdl_toplevel_lang="verilog",
            build_dir=directory,
            test_dir=place,
            results_xml=os.path.abspath(place / "results.xml"),
            log_file=place / "cocotb.log",
        )


def _port(place: Path, log: Path, simulation: threading.Thread) -> str:
    """The name of the pseudo-terminal, once the simulation has opened it."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and simulation.is_alive():
        with suppress(FileNotFoundError):
            return (place / "port").read_text()
        time.sleep(0.05)
    raise UserError(
        f"the simulation must start, and did not{last_words(place / 'cocotb.log')}; its log is {log}"
    )
