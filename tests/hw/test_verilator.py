"""The same engines as Verilog, in Verilator under cocotb: several layers in one design, compiled once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from codegen.accelerator import engine, rom_files
from codegen.verilog import ROM_FILE, ROM_SOURCE, verilog_text
from sim.ports import Stall, stream_ports
from sim.scoreboard import Expectation
from sim.verilator_bench import Verdict, VerilatorBench

from .bench import Watched
from .cases import Case, conv_case, pool_case

TOP = "several"


class Several(wiring.Component):
    """Layers side by side, each with its own streams; their weights are in files."""

    def __init__(self, cases: Sequence[Case]):
        self.engines = [Watched(engine(case.layer, inline=False)) for case in cases]
        ports = {}
        for k, one in enumerate(self.engines):
            for name, member in one.signature.members.items():
                if member.is_signature:
                    ports[f"{name}_{k}"] = member
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for k, one in enumerate(self.engines):
            m.submodules[f"layer_{k}"] = one
            for name, member in one.signature.members.items():
                if member.is_signature:
                    wiring.connect(m, wiring.flipped(getattr(self, f"{name}_{k}")), getattr(one, name))
        return m


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """Each layer under a name of its own: its ROM files are called after it."""
    drawn = [
        conv_case(31, form="scale"),
        conv_case(32, form="thresholds"),
        conv_case(33, form="raw"),
        pool_case(34),
    ]
    return [
        replace(case, layer=replace(case.layer, stage=replace(case.layer.stage, name=f"layer{k}")))
        for k, case in enumerate(drawn)
    ]


@pytest.fixture(scope="module")
def bench(cases: list[Case], tmp_path_factory: pytest.TempPathFactory) -> VerilatorBench:
    folder = tmp_path_factory.mktemp("several layers")
    design = Several(cases)
    ports = tuple(stream_ports(design))
    files = {f"{TOP}.v": verilog_text(design, TOP).encode(), ROM_FILE: ROM_SOURCE.encode()}
    for case in cases:
        files |= rom_files(case.layer)
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return VerilatorBench(TOP, (folder / f"{TOP}.v", folder / ROM_FILE), ports, folder)


@pytest.mark.parametrize(
    "stall", [Stall(), Stall(0.2, 1), Stall(0.6, 2)], ids=["no stall", "stall", "much stall"]
)
def test_layers_in_verilator(bench: VerilatorBench, cases: list[Case], stall: Stall) -> None:
    claims: dict[str, Sequence[int]] = {}
    for k, case in enumerate(cases):
        predicted: Mapping[str, Sequence[int]] = {} if stall.probability else case.predicted()
        claims |= {f"{name}_{k}": cycles for name, cycles in predicted.items()} | {f"broken_{k}": []}
    run = bench.compare(
        {f"i_{k}": case.input_beats for k, case in enumerate(cases)},
        {f"o_{k}": case.beats for k, case in enumerate(cases)},
        stall=stall,
        expectations=[Expectation(f"o_{k}", f"layer {k}", case.values) for k, case in enumerate(cases)],
        predicted=claims,
    )
    assert run.verdict == Verdict(), "\n".join(map(str, cases))
