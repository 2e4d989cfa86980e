"""What nextpnr is given, and what it makes of carry chains."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from codegen.errors import UserError
from codegen.fpga import engines, placement
from codegen.fpga.carry import trim_carries
from codegen.fpga.devices import Device, Resources, find_device
from codegen.fpga.engines import measure
from codegen.fpga.netlist import Netlist
from codegen.fpga.placement import ROUTED, Placement, place_and_route
from codegen.fpga.target import place_alone
from tests.codegen.fpga.draft import Draft

DEVICE = find_device("ecp5-85k")


def test_open_ends_of_a_carry_chain_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """nextpnr fails without a pin, and puts a cell beside one that is a constant or a net."""
    draft = Draft()
    pins = {f"{pin}{half}": draft.nets(1) for pin in "AB" for half in (0, 1)}
    sums = draft.carry("sum", (0x96AA, 0x96AA), CIN="0", C0="0", D0="1", C1="0", D1="1", **pins)
    draft.output("s", sums[1])
    netlist = draft.netlist()
    trim_carries(netlist)
    told: list[Sequence[str]] = []
    monkeypatch.setattr(placement, "run", lambda tool, arguments, *given: told.append(arguments))
    (tmp_path / "place").mkdir()
    with pytest.raises(UserError, match="nextpnr must write what it reached"):
        place_and_route(netlist, DEVICE, tmp_path, "place", [], seeds=[7])
    assert told[0][told[0].index("--seed") + 1] == "7"
    cell = Netlist.read(tmp_path / "place/placed.json", "top").cells["sum"]
    assert (cell.net("CIN"), cell.net("COUT")) == ("x", "x")
    assert [cell.content["port_directions"][pin] for pin in ("CIN", "COUT")] == ["input", "output"]


def fake_nextpnr(monkeypatch: pytest.MonkeyPatch, clocks: dict[int, float]) -> None:
    """One that reaches the clock of each seed, and fails for others."""

    def run(tool: str, arguments: Sequence[str], folder: Path, log: str) -> None:
        told = dict(pairwise(arguments))
        seed = int(told["--seed"])
        (folder / log).write_text(f"from {seed}")
        if seed not in clocks:
            raise UserError(f"nextpnr failed from {seed}")
        (folder / told["--textcfg"]).write_text(f"routed from {seed}")
        report = {"fmax": {"clk": {"achieved": clocks[seed]}}, "utilization": {"DP16KD": {"used": 3}}}
        (folder / told["--report"]).write_text(json.dumps(report))

    monkeypatch.setattr(placement, "run", run)


def test_the_fastest_of_many_tries_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nextpnr(monkeypatch, {3: 90.0, 5: 120.0, 6: 120.0, 7: 110.0})
    place = tmp_path / "place"
    for stopped in ("seed_5", "seed_9"):
        (place / stopped).mkdir(parents=True)
    for again in range(2):
        found = place_and_route(Draft().netlist(), DEVICE, tmp_path, "place", [], seeds=range(3, 8))
        assert found == Placement(120.0, Resources(memories=3), 5), again
        assert (place / ROUTED).read_text() == "routed from 5"
        assert (place / "nextpnr.out").read_text() == "from 5"
        assert not [path for path in place.iterdir() if path.is_dir()]
    with pytest.raises(UserError, match="nextpnr failed from 8"):
        place_and_route(Draft().netlist(), DEVICE, tmp_path, "place", [], seeds=[8, 9])
    assert (place / "seed_8/nextpnr.out").read_text() == "from 8", "to be read by whom it concerns"


def test_nextpnr_adds_no_cells_to_carry_chains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    placed: list[Placement] = []

    def place(netlist: Netlist, device: Device, build: Path, name: str, mhz: float) -> Placement:
        placed.append(place_alone(netlist, device, build, name, mhz))
        return placed[0]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(engines, "place_alone", place)
    taken, _ = measure(4, 3, 4, DEVICE)
    assert 0 <= placed[0].used.luts - taken.luts <= 2, "but for a table that is 0 and one that is 1"
