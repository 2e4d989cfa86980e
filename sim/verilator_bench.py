"""The bench on Verilator under cocotb, for anything that a file of Verilog describes."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cocotb_tools.runner import get_runner
from numpy.typing import NDArray

from codegen.beats import lines
from codegen.errors import UserError
from codegen.files import held, put, scratch

from .harness import BENCH_SOURCE, TOP, harness_text, visible_signals
from .ports import NO_STALL, Record, Stall, StreamPort, StreamRecord
from .scoreboard import Difference, Expectation
from .verilator import last_words, simulator, wave_option
from .watchdog import Stuck

__all__ = ["FLAGS", "OPTIONS", "ProtocolError", "Run", "Verdict", "VerilatorBench", "read_record"]

OPTIONS = (
    "-O3",
    "--no-public-flat-rw",
    "-fdfg-synthesize-all",
    "--no-timing",
    "--noassert",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "-Wno-fatal",
    "-Wno-lint",
    "-Wno-specifyign",
)
FLAGS = ("-O2", "-march=native")


class ProtocolError(Exception):
    """A stream took back or changed what it had offered."""


@dataclass(frozen=True)
class Verdict:
    """What the scoreboard in the simulation found: differences in values, and in cycles if any were
    predicted."""

    values: tuple[Difference, ...] = ()
    cycles: tuple[Difference, ...] = ()


@dataclass(frozen=True)
class Run:
    """A finished run: what moved, and what the scoreboard found."""

    record: Record
    verdict: Verdict


@dataclass(frozen=True)
class VerilatorBench:
    """A ``Bench`` around the module ``top`` of ``sources``, whose ROM files lie in ``rom/`` below ``folder``.

    A run has a folder of its own, which becomes ``folder/sim`` when it has ended, so that runs at the same
    time do not meet. ``flags`` of the C++ compiler: where compiling takes longer than running, ``-O0`` is
    faster. ``waves`` writes ``sim/dump.fst``, or ``dump.vcd`` (``wave_option``), ten times slower.
    ``includes``: folders of files that sources include.
    """

    top: str
    sources: tuple[Path, ...]
    ports: tuple[StreamPort, ...]
    folder: Path
    waves: bool = False
    flags: tuple[str, ...] = FLAGS
    includes: tuple[Path, ...] = ()

    def compile(self, *, anew: bool = False) -> Path:
        """The folder of the compiled model; made only if this very one is not there, or ``anew``."""
        texts = {
            "visible.vlt": visible_signals(TOP, ("clk", "rst", "finished")),
            "bench.sv": harness_text(self.top, self.ports),
        }
        waves = [wave_option()] if self.waves else []
        options = [*OPTIONS, *waves, *(f"-I{path}" for path in self.includes)]
        sources = [BENCH_SOURCE, *self.sources]
        return simulator(self.top, TOP, texts, sources, options=options, flags=self.flags, anew=anew)

    def run(
        self,
        feeds: Mapping[str, NDArray[np.int64]],
        expected: Mapping[str, int],
        *,
        stall: Stall = NO_STALL,
        patience: int = 10_000,
    ) -> Record:
        """As ``Bench.run``."""
        return self.compare(feeds, expected, stall=stall, patience=patience).record

    def compare(
        self,
        feeds: Mapping[str, NDArray[np.int64]],
        expected: Mapping[str, int],
        *,
        stall: Stall = NO_STALL,
        patience: int = 10_000,
        expectations: Sequence[Expectation] = (),
        predicted: Mapping[str, Sequence[int]] | None = None,
    ) -> Run:
        """As ``run``; the simulation itself compares with ``expectations`` and with the cycles ``predicted``
        without stalls: with stalls none may be earlier."""
        directory = self.compile()
        with scratch(self.folder / "sim") as place:
            (place / "rom").symlink_to("../rom")
            for name, beats in feeds.items():
                (place / f"{name}.in").write_bytes(lines(self._port(name).format.to_hex(beats)))
            self._write_orders(place, expected, expectations, predicted or {}, stall.probability > 0)
            plusargs = [
                f"+stall={round(stall.probability * 2**32)}",
                f"+stall_seed={stall.seed}",
                f"+patience={patience}",
            ]
            plusargs += [f"+expect_{name}={count}" for name, count in expected.items()]
            try:
                told = self._simulate(directory, place, plusargs)
                return Run(read_record(place, self.ports), _verdict(told))
            finally:
                with held(self.folder / "sim"):
                    put(place, self.folder / "sim")

    def _port(self, name: str) -> StreamPort:
        return next(port for port in self.ports if port.name == name)

    def _write_orders(
        self,
        folder: Path,
        expected: Mapping[str, int],
        expectations: Sequence[Expectation],
        predicted: Mapping[str, Sequence[int]],
        stalled: bool,
    ) -> None:
        for expectation in expectations:
            np.save(folder / f"{expectation.stream}.expected.npy", expectation.values)
        for name, cycles in predicted.items():
            np.save(folder / f"{name}.predicted.npy", np.asarray(cycles, dtype=np.int64))
        orders = {
            "ports": [
                [port.name, port.direction.value, port.format.lanes, port.format.bits, port.format.signed]
                for port in self.ports
            ],
            "expected": dict(expected),
            "expectations": [[expectation.stream, expectation.layer] for expectation in expectations],
            "predicted": list(predicted),
            "stalled": stalled,
        }
        (folder / "orders.json").write_text(json.dumps(orders))

    def _simulate(self, directory: Path, place: Path, plusargs: Sequence[str]) -> dict[str, Any]:
        """Runs the compiled model in the folder ``place``; what the cocotb test says of it."""
        log = place / "cocotb.log"
        with suppress(SystemExit, RuntimeError):  # the runner's ways to fail; the verdict says more
            get_runner("verilator").test(
                "sim.cocotb_bench",
                TOP,
                hdl_toplevel_lang="verilog",
                build_dir=directory,
                test_dir=place,
                results_xml=os.path.abspath(place / "results.xml"),
                plusargs=list(plusargs),
                waves=self.waves,
                log_file=log,
            )
        if not (place / "verdict.json").exists():
            raise UserError(
                f"the simulation must end with a verdict, and did not{last_words(log)}; its log is "
                f"{self.folder / 'sim' / log.name}"
            )
        told: dict[str, Any] = json.loads((place / "verdict.json").read_text())
        if told["stuck"]:
            raise Stuck(told["stuck"])
        if told["broken"]:
            raise ProtocolError(
                f"valid fell or the payload changed before ready, on {', '.join(told['broken'])}"
            )
        return told


def _verdict(told: Mapping[str, Any]) -> Verdict:
    return Verdict(
        tuple(Difference(*row) for row in told["values"]),
        tuple(Difference(*row) for row in told["cycles"]),
    )


def read_record(folder: Path, ports: Sequence[StreamPort]) -> Record:
    """What the probes of a run wrote into its folder."""
    return {port.name: _read_stream(folder / f"{port.name}.out", port) for port in ports}


def _read_stream(path: Path, port: StreamPort) -> StreamRecord:
    length = 8 + 1 + port.format.digits + 1
    content = path.read_bytes()
    moved = content[: content.index(b"end")]
    lines = np.frombuffer(moved, dtype=np.uint8).reshape(-1, length)
    shifts = np.arange(28, -4, -4, dtype=np.int64)
    digits = lines[:, :8].astype(np.int64)
    cycles = (np.where(digits >= ord("a"), digits - ord("a") + 10, digits - ord("0")) << shifts).sum(axis=1)
    return StreamRecord(cycles, port.format.from_hex(lines[:, 9 : 9 + port.format.digits]))


def end_states(folder: Path, ports: Sequence[StreamPort]) -> dict[str, tuple[bool, bool, bool]]:
    """(valid, ready, broken) of each stream when the run ended."""
    states = {}
    for port in ports:
        flags = (folder / f"{port.name}.out").read_text().rsplit("end ", 1)[1]
        states[port.name] = (flags[0] == "1", flags[1] == "1", flags[2] == "1")
    return states
