"""What is estimated before synthesis, held against what Yosys makes of it."""

import json
from dataclasses import astuple
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from codegen.budget import Budget
from codegen.build import build
from codegen.fold import fold
from codegen.fpga.cells import block_count, ram
from codegen.fpga.devices import DEVICES, Device, Family, Resources
from codegen.fpga.estimate import estimate
from codegen.fpga.implement import Implementation, netlist_of, tables
from codegen.fpga.placement import Placement
from codegen.fpga.synthesis import resources
from codegen.fpga.target import Alone
from codegen.fpga.tools import run
from codegen.ir import IntegerNetwork, save
from codegen.networks import find_network
from codegen.plan import Plan, requantise_forms, size
from codegen.stages import Bounds, fuse
from codegen.steps import Steps
from tests.networks import Chain, digits, random_chain

ECP5, ICE40 = Family.ECP5, Family.ICE40


def planned(network: IntegerNetwork, lanes: int) -> Plan:
    stages = fuse(network)
    return size(network, stages, fold(stages, lanes), requantise_forms(stages))


def digits_of(weights: int, codes: int) -> IntegerNetwork:
    """What a digits recipe of these widths exports."""
    chain = Chain(0, (8, 8, 1), 4)
    chain.conv("conv1", 8, bits=8).requantise("conv1_q", codes, per_channel=True)
    chain.conv("conv2", 16, bits=weights).requantise("conv2_q", codes, per_channel=True)
    return chain.pool("pool").flatten().linear("fc", 10, bits=weights).argmax().network(f"w{weights}")


# -- multipliers, one engine at a time ---------------------------------------------------------------------


def test_narrow_weights_share_a_multiplier_and_one_bit_ones_take_none() -> None:
    def multipliers(weights: int, codes: int) -> int:
        chain = Chain(0, (4, 4, 4), codes).conv("conv", 10, (1, 1), bits=weights).network()
        return estimate(planned(chain, 20), ECP5)["conv"].multipliers  # 5 PEs by 4 lanes

    assert planned(Chain(0, (4, 4, 4), 4).conv("conv", 10, (1, 1)).network(), 20).layers[0].fold.pe == 5
    assert [multipliers(*widths) for widths in ((8, 8), (4, 4), (2, 2), (1, 8), (8, 1))] == [20, 12, 4, 0, 0]
    assert estimate(planned(digits(), 76), ICE40)["conv2"].multipliers == 0


def test_a_wide_product_takes_as_many_multipliers_as_cover_it() -> None:
    plan = planned(digits_of(8, 8), 48)
    layer = plan.layers[1]
    factor = max(layer.form.multiplier).bit_length()  # type: ignore[union-attr]
    assert factor > 18 and layer.timing.lanes == 1
    # eight bits are one to a multiplier; two halves of the sum by two of the factor
    assert estimate(plan, ECP5)["conv2"].multipliers == layer.fold.lanes + 4


def test_bits_that_never_change_are_no_memory() -> None:
    plain = Chain(0, (1, 1, 8), 4)
    weights = plain.random.integers(0, 256, (64, 8)).astype("uint8")
    even = Chain(0, (1, 1, 8), 4).flatten().linear("fc", 64, bits=8, codes=weights & 0xF0).network()
    full = plain.flatten().linear("fc", 64, bits=8, codes=weights).network()
    blocks = [estimate(planned(one, 8), ECP5)["fc"].memories for one in (full, even)]
    assert blocks == [2, 1]  # 64 bits a word, and 32


# -- memories: which kind Yosys takes ------------------------------------------------------------------------

MEASURED = {
    ECP5: "1x6:F 1x8:L1 4x2:L1 5x2:F 6x2:L2 8x16:L2 8x17:L4 18x65:L25 20x65:B1 24x64:L24 27x64:B1 12x100:L21 "
    "12x128:B1 4x257:L17 4x512:B1 36x32:L18 36x33:B1 37x64:L40 37x65:B2 40x1025:B4 9x2049:B2 128x48:L96 "
    "144x33:B4 5x4096:B2",
    ICE40: "8x8:F 8x10:B1 12x6:F 12x8:B1 17x8:F 17x10:B2 18x8:B2 16x4:F 16x6:B1 36x4:F 36x6:B3 4x17:F "
    "4x20:B1 9x257:B2 9x1000:B3 24x257:B3 5x2048:B3 2x33:F 2x40:B1",
}
"""Width x depth: flip-flops, so many distributed memories or blocks, by Yosys 0.70."""


def kind(family: Family, width: int, depth: int) -> str:
    found = ram(family, width, depth, False)
    if found.memories:
        return f"B{found.memories}"
    if found.ffs > width:
        return "F"
    rows = -(-depth // 16)
    return f"L{(found.luts - (rows - 1) * (width + 2)) // 4}"


@pytest.mark.parametrize("family", MEASURED)
def test_a_memory_becomes_what_yosys_makes_of_it(family: Family) -> None:
    told = dict(one.split(":") for one in MEASURED[family].split())
    assert {one: kind(family, *map(int, one.split("x"))) for one in told} == told


@pytest.mark.slow
@pytest.mark.parametrize("family", MEASURED)
def test_the_table_of_memories_is_what_yosys_says_today(family: Family, tmp_path: Path) -> None:
    told = dict(one.split(":") for one in MEASURED[family].split())
    modules, uses = [], []
    for one in told:
        width, depth = map(int, one.split("x"))
        top = (depth - 1).bit_length() - 1
        modules.append(
            f"module m{one} (input clk, re, we, input [{top}:0] r, w, input [{width - 1}:0] d, output reg "
            f"[{width - 1}:0] q); reg [{width - 1}:0] m [0:{depth - 1}];\nalways @(posedge clk) begin\n"
            f"if (we) m[w] <= d; if (re) q <= m[r]; end endmodule"
        )
        uses.append(f"m{one} u{one} (.clk(clk), .re(re), .we(we), .r(a), .w(b), .d(d), .q());")
    ports = "input clk, re, we, input [15:0] a, b, input [159:0] d"
    text = "\n".join([*modules, f"module top ({ports});", *uses, "endmodule\n"])
    (tmp_path / "m.v").write_text(text)
    library = {
        ECP5: "-lib +/lattice/lutrams_trellis.txt -lib +/lattice/brams_16kd.txt",
        ICE40: "-lib +/ice40/brams.txt",
    }[family]
    script = "read_verilog m.v; hierarchy -top top; proc; opt; memory_dff; opt_clean; memory_collect"
    commands = f"{script}; memory_libmap {library}; tee -q -o stat.json stat -json"
    run("yosys", ["-q", "-p", commands], tmp_path, "log")
    modules_found = json.loads((tmp_path / "stat.json").read_text())["modules"]
    for one, expected in told.items():
        cells = modules_found[f"\\m{one}"]["num_cells_by_type"]
        blocks = sum(cells.get(name, 0) for name in ("$__DP16KD_", "$__PDPW16KD_", "$__ICE40_RAM4K_"))
        small = cells.get("$__TRELLIS_DPR16X4_", 0)
        assert (f"B{blocks}" if blocks else f"L{small}" if small else "F") == expected, one


def test_blocks_of_different_shapes_stand_side_by_side() -> None:
    assert [block_count(ECP5, *one) for one in ((36, 512), (37, 512), (9, 2048), (1, 16384))] == [1, 2, 1, 1]
    assert [block_count(ICE40, *one) for one in ((16, 256), (17, 256), (9, 257))] == [1, 2, 2]


# -- whole networks ------------------------------------------------------------------------------------------

CASES = [
    ("ecp5-85k", digits_of(8, 8), 48),
    ("ecp5-85k", digits_of(4, 4), 112),
    ("ecp5-85k", digits_of(2, 2), 350),
    ("ecp5-85k", digits_of(1, 1), 16),
    ("ice40-hx8k", digits_of(2, 2), 19),
    ("ice40-hx8k", digits_of(1, 1), 64),
    ("ecp5-85k", random_chain(4), 40),
    ("ecp5-25k", digits_of(2, 2), None),
]
"""Device, network, and lanes; where there are none, as many as fit, products of logic among them."""


@pytest.mark.slow
@pytest.mark.parametrize(("device", "network", "lanes"), CASES, ids=lambda one: getattr(one, "name", one))
def test_the_netlist_takes_what_was_estimated(
    device: str, network: IntegerNetwork, lanes: int | None, tmp_path: Path
) -> None:
    save(network, tmp_path / "network.safetensors")
    source = find_network(str(tmp_path / "network.safetensors"))
    budget = Budget(lanes, device=DEVICES[device] if lanes is None else None)
    plan = build(source, tmp_path / "build", budget, Steps(Console(quiet=True)))
    assert any(layer.fold.logic for layer in plan.layers) == (lanes is None)
    check(plan, DEVICES[device], tmp_path / "build")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("device", "bits"), [("ecp5-85k", 8), ("ecp5-85k", 4), ("ecp5-85k", 1), ("ice40-hx8k", 1)]
)
def test_a_network_of_constant_weights_takes_what_was_estimated(
    device: str, bits: int, tmp_path: Path
) -> None:
    """An image every cycle, each weight with a lane of its own."""
    chain = Chain([3, bits], (1, 1, 24), bits).flatten().linear("fc1", 16, bits=bits)
    chain = chain.requantise("q", bits, per_channel=True).linear("fc2", 6, bits=bits).argmax()
    save(chain.network("dense"), tmp_path / "network.safetensors")
    source = find_network(str(tmp_path / "network.safetensors"))
    budget = Budget(device=DEVICES[device])
    plan = build(source, tmp_path / "build", budget, Steps(Console(quiet=True)))
    assert (plan.lanes, plan.cycles_per_image) == (24 * 16 + 16 * 6, 1)
    check(plan, DEVICES[device], tmp_path / "build")


@pytest.mark.slow
@pytest.mark.parametrize("bits", [8, 4])
def test_a_reloadable_netlist_takes_what_was_estimated(bits: int, tmp_path: Path) -> None:
    """Its scales have room for any: four bits have thresholds, eight a factor that is cut in three."""
    save(digits_of(bits, bits), tmp_path / "network.safetensors")
    source = find_network(str(tmp_path / "network.safetensors"))
    budget = Budget(48, bounds=Bounds.TYPE)
    plan = build(source, tmp_path / "build", budget, Steps(Console(quiet=True)))
    check(plan, DEVICES["ecp5-85k"], tmp_path / "build")


def check(plan: Plan, device: Device, folder: Path) -> None:
    """Logic within 15 %, multipliers exactly, one block of RAM in ten."""
    netlist = netlist_of(Alone(plan, device), folder)
    found = resources(netlist, list(netlist.cells.values()))
    told = sum(estimate(plan, device.family).values(), Resources())
    print(f"{plan.network} at {plan.lanes} on {device.name}: {told} for {found}")
    assert abs(told.luts - found.luts) <= 0.15 * found.luts
    assert abs(told.ffs - found.ffs) <= 0.15 * found.ffs
    assert abs(told.memories - found.memories) <= 0.1 * found.memories
    assert told.multipliers == found.multipliers


# -- the table ----------------------------------------------------------------------------------------------


def shown(device: Device, plan: Plan, netlist: Resources) -> str:
    console = Console(file=StringIO(), width=100)
    done = Implementation(Alone(plan, device), {"conv1": netlist}, Placement(100.0, netlist), 100.0)
    console.print(next(iter(tables(done))))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_estimate_stands_beside_the_netlist_with_its_error() -> None:
    plan = planned(digits(), 16)
    total = sum(estimate(plan, ECP5).values(), Resources())
    luts, ffs, memories, _ = astuple(total)
    text = shown(DEVICES["ecp5-25k"], plan, Resources(2 * luts, ffs, memories - 1, 0))
    rows = {row.split("│")[1].strip(): row for row in text.splitlines() if row.startswith("│")}
    assert [cell.strip() for cell in rows["estimate"].split("│")[2:4]] == [f"{luts:,}", f"{ffs:,}"]
    errors = [cell.strip() for cell in rows["its error"].split("│")[2:6]]
    assert errors == ["-50.0 %", "+0.0 %", f"{100 / (memories - 1):+.1f} %", "-"]
