# amaranth: UnusedElaboratable=no
"""Random networks, planned, turned into Verilog and ROM files, and run in Verilator: every value of every
layer equal under random stalls, every beat in its predicted cycle without.

Several networks stand side by side in one design, which compiles in little more time than one of them.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from numpy.typing import NDArray

from codegen.accelerator import Accelerator, Taps, rom_files
from codegen.build import streams
from codegen.fold import fold
from codegen.folds import Fold, window
from codegen.ir import IntegerNetwork
from codegen.plan import Plan, requantise_forms, size
from codegen.stages import MatrixVectorStage, PoolStage, fuse
from codegen.verilog import ROM_FILE, ROM_SOURCE, verilog_text
from hw.timing import matrix_vector_timing
from sim.ports import NO_STALL, Stall, stream_ports
from sim.run import predicted_cycles
from sim.scoreboard import Expectation
from sim.verilator import CACHE
from sim.verilator_bench import Verdict, VerilatorBench

from ..networks import WIDE, random_chain

TOP = "several"
TOGETHER = 6
GROUPS = 34
IMAGES = 2


@dataclass(frozen=True)
class Case:
    """A random network, folded by the solver for a random budget if its seed is even, else anyhow."""

    seed: int

    @cached_property
    def network(self) -> IntegerNetwork:
        return random_chain(self.seed, WIDE, f"n{self.seed}_")

    @cached_property
    def plan(self) -> Plan:
        random, stages = np.random.default_rng([self.seed, 81]), fuse(self.network)
        if self.seed % 2 == 0:
            weighted = sum(isinstance(stage, MatrixVectorStage) for stage in stages)
            folds = fold(stages, int(weighted * 2 ** random.uniform(0, 6)))
        else:
            layers = [stage for stage in stages if isinstance(stage, MatrixVectorStage | PoolStage)]
            folds = {stage.name: _any_fold(random, stage) for stage in layers}
        return size(self.network, stages, folds, requantise_forms(stages))

    @cached_property
    def images(self) -> NDArray[np.int64]:
        random = np.random.default_rng([self.seed, 80])
        return random.integers(0, self.network.input.high + 1, (IMAGES, *self.network.input.shape))

    def named(self, stream: str) -> str:
        """A stream of this network in the design of several; streams of layers are called after them."""
        return stream if stream.startswith(("tap_", "start_")) else f"n{self.seed}_{stream}"

    def expectations(self) -> Iterator[Expectation]:
        values = {"input": self.images} | self.network.trace(self.images)
        for stream in streams(self.plan):
            if stream.node is not None:
                tensor = values[stream.node].reshape(IMAGES, *stream.shape)
                yield Expectation(self.named(stream.name), stream.layer, tensor)


def _any_fold(random: np.random.Generator, stage: MatrixVectorStage | PoolStage) -> Fold:
    """Any fold that the engine has, mostly one that divides nothing."""
    while True:
        rows = int(random.integers(1, stage.kernel[0] + 1))
        if isinstance(stage, PoolStage):
            channels = stage.source.channels
            groups = int(random.choice([g for g in range(1, channels + 1) if channels % g == 0]))
            taps = int(random.integers(1, stage.kernel[1] + 1)) if groups == 1 else 1
            return Fold(1, rows, taps * channels // groups, groups)
        group = stage.channels // stage.groups
        run = stage.weights.codes.shape[3] * (stage.kernel[1] if stage.groups == 1 else 1)
        wide = int(random.choice([1, 1, 1, 2, 3]))
        pe, lanes = (group, run) if wide > 1 else (int(random.integers(1, most + 1)) for most in (group, run))
        choice = Fold(pe, rows, lanes, pixels=wide)
        try:
            matrix_vector_timing(window(stage, choice, stage.source.channels), pe, stage.channels, 0)
        except ValueError:
            continue
        return choice


class Several(wiring.Component):
    """Accelerators side by side, each with its own streams; their weights are in files."""

    def __init__(self, cases: Sequence[Case]):
        self.cases = cases
        self.accelerators = [Accelerator(case.plan, taps=Taps.ALL) for case in cases]
        super().__init__(
            {
                case.named(name): member
                for case, one in zip(cases, self.accelerators, strict=True)
                for name, member in one.signature.members.items()
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for case, one in zip(self.cases, self.accelerators, strict=True):
            m.submodules[f"n{case.seed}"] = one
            for name in one.signature.members:
                wiring.connect(m, wiring.flipped(getattr(self, case.named(name))), getattr(one, name))
        return m


def bench_around(cases: Sequence[Case], folder: Path) -> VerilatorBench:
    (folder / "rom").mkdir()
    for case in cases:
        for layer in case.plan.layers:
            for name, content in rom_files(layer).items():
                (folder / name).write_bytes(content)
    design = Several(cases)
    (folder / f"{TOP}.v").write_text(verilog_text(design, TOP))
    (folder / ROM_FILE).write_text(ROM_SOURCE)
    sources = folder / f"{TOP}.v", folder / ROM_FILE
    return VerilatorBench(TOP, sources, tuple(stream_ports(design)), folder, flags=("-O0",))


def run(bench: VerilatorBench, cases: Sequence[Case], stall: Stall) -> Verdict:
    feeds, expected, claims = {}, {}, {}
    for case in cases:
        prediction = case.plan.predict(IMAGES)
        feeds[case.named("i")] = case.plan.input.pack(case.images)
        expected[case.named("o")] = len(prediction.outputs or prediction.layers[-1].beats)
        cycles = predicted_cycles(case.plan, prediction)
        claims |= {case.named(name): times for name, times in cycles.items()}
    return bench.compare(
        feeds,
        expected,
        stall=stall,
        expectations=[one for case in cases for one in case.expectations()],
        predicted={} if stall.probability else claims,
    ).verdict


@pytest.mark.parametrize(
    "group", [0, *(pytest.param(group, marks=pytest.mark.slow) for group in range(1, GROUPS))]
)
def test_networks_are_equal_under_stalls_and_on_time_without(
    group: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Group ``g`` is seeds ``g * TOGETHER`` and the following; a failing layer bears its seed in its name."""
    monkeypatch.setenv(CACHE, str(tmp_path / "models"))
    cases = [Case(group * TOGETHER + k) for k in range(TOGETHER)]
    bench = bench_around(cases, tmp_path)
    for stall in (Stall(0.05 + group % 8 / 10, group), NO_STALL):
        assert run(bench, cases, stall) == Verdict(), f"group {group}, {stall}"


def features(case: Case) -> Iterator[object]:
    """What is special about a network and its folds."""
    for layer in case.plan.layers:
        stage, one = layer.stage, layer.fold
        yield from (("kernel", axis, k) for axis, k in enumerate(stage.kernel))
        yield from (("stride", axis, k) for axis, k in enumerate(stage.stride))
        yield from (("padding", axis, k) for axis, k in enumerate(stage.padding))
        yield "not square" if stage.kernel[0] != stage.kernel[1] else "square"
        yield "odd map" if stage.source.rows % 2 and stage.source.columns % 2 else "even map"
        if isinstance(stage, PoolStage):
            continue
        yield "code bits", stage.source.bits
        yield "weight bits", stage.weights.bits
        inputs = stage.weights.codes.shape[3]
        if stage.groups > 1:
            yield "depthwise" if inputs == 1 else "grouped"
        run = inputs * (stage.kernel[1] if stage.groups == 1 else 1)
        if stage.channels // stage.groups % one.pe or stage.kernel[0] % one.row_lanes or run % one.run_lanes:
            yield "fold that does not divide"
        if one.pixels > 1:
            yield "pixels side by side"


def test_the_seeds_hold_all_there_is() -> None:
    found = Counter(one for seed in range(GROUPS * TOGETHER) for one in features(Case(seed)))
    wanted: list[object] = [("kernel", axis, k) for axis in (0, 1) for k in range(1, 8)]
    wanted += [("stride", axis, k) for axis in (0, 1) for k in range(1, 4)]
    wanted += [("padding", axis, k) for axis in (0, 1) for k in range(4)]
    wanted += [(name, bits) for name in ("code bits", "weight bits") for bits in range(1, 9)]
    wanted += ["not square", "odd map", "grouped", "depthwise", "fold that does not divide"]
    assert GROUPS * TOGETHER >= 200
    assert {str(one): found[one] for one in wanted if found[one] < 4} == {}
    assert found["pixels side by side"] >= 2
