"""A routed ECP5 design that takes other weights: synthesis and routing know none, contents come afterwards.

What is synthesised and routed has random contents in every memory, the *carrier*: nothing in it can be
folded away because a weight happens to be constant, no two memories are alike, and it is the same for all
networks of one shape. The network's own contents are put in as any other's are.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from codegen.accelerator import rom_widths
from codegen.build import write_contents
from codegen.errors import UserError
from codegen.files import held, scratch, write_atomically
from codegen.manifest import read_manifest
from codegen.networks import Source
from codegen.plan import Plan
from codegen.program import spelled
from codegen.verilog import ROM_FILE, ROM_SOURCE

from .boards import BOARDS
from .contents import check_layout, fill_config, fill_netlist, rom_contents
from .devices import DEVICES, Family
from .netlist import Netlist
from .on_board import OnBoard
from .placement import ROUTED
from .synthesis import DESIGN, NETLIST
from .target import Alone, Target

__all__ = ["CARRIER", "carrier", "filled", "is_loadable", "load", "random_files", "reload"]

CARRIER = "carrier"
"""The folder, in that of a build, of what was synthesised and routed with random contents."""

_LOADED = "loaded.config"


def is_loadable(target: Target) -> bool:
    """Whether the contents of the memories can be replaced where it is put."""
    return target.plan.is_reloadable and target.device.family is Family.ECP5


def carrier(target: Target, build: Path) -> Netlist:
    """The netlist of a reloadable design with random contents, of which it is proven where they lie.

    Raises ``UserError`` if Yosys fails, or if it has made logic of a memory.
    """
    folder = build / CARRIER
    (folder / "rom").mkdir(parents=True, exist_ok=True)
    (folder / ROM_FILE).write_text(ROM_SOURCE)
    for name, text in random_files(target.plan, seed=0).items():
        (folder / name).write_text(text)
    netlist = target.synthesise(folder)
    layers = {layer.stage.name for layer in target.plan.layers}
    contents = rom_contents(folder / target.name / DESIGN, target.top, folder)
    check_layout(netlist, contents, lambda cell: target.layer_of(cell) in layers)
    return netlist


def random_files(plan: Plan, seed: int) -> dict[str, str]:
    """Random ROM files for a plan, by name; the second row is the first one inverted, so that no bit is the
    same in all rows."""
    random, files = np.random.default_rng(seed), {}
    for layer in plan.layers:
        for name, (width, depth) in rom_widths(layer).items():
            words = [
                int.from_bytes(random.bytes(-(-width // 8)), "little") % (1 << width) for _ in range(depth)
            ]
            words[1:2] = [words[0] ^ (1 << width) - 1] * (depth > 1)
            files[name] = "".join(f"{word:0{-(-width // 4)}x}\n" for word in words)
    return files


def filled(netlist: Netlist, target: Target, build: Path) -> Netlist:
    """The carrier with the contents of the build's own ROM files, also written as its netlist."""
    fill_netlist(netlist, rom_contents(build / CARRIER / target.name / DESIGN, target.top, build))
    (build / target.name).mkdir(exist_ok=True)
    netlist.write(build / target.name / NETLIST)
    return netlist


def load(target: Target, build: Path, roms: Path, file: Path) -> Path:
    """Puts the ROM files in ``roms`` into the routed carrier of a build: the bitstream ``file``.

    Raises ``UserError`` if a tool fails.
    """
    carried, place = build / CARRIER / target.name, build / target.name
    place.mkdir(exist_ok=True)
    before, after = (rom_contents(carried / DESIGN, target.top, one) for one in (build / CARRIER, roms))
    (place / _LOADED).write_text(fill_config((carried / ROUTED).read_text(), before, after))
    return target.pack(_LOADED, build, file)


def reload(build: Path, source: Source, out: Path) -> Target:
    """Writes the bitstream ``out``: the routed design in the folder ``build`` with the weights and scales of
    another network of the same shape. Returns what it is for.

    Raises ``UserError`` if nothing loadable was routed there, or if the network needs another design.
    """
    names = [name for name in (*BOARDS, *DEVICES) if (build / CARRIER / name / ROUTED).is_file()]
    if not names:
        raise UserError(
            f"'{build}' must hold a routed design that can be loaded; make one with "
            f"{spelled('bitstream', 'NETWORK --reloadable --board ulx3s')}"
        )
    with held(build, shared=True), scratch(build / "loaded") as loaded:
        plan = write_contents(source, build, loaded)
        # A board says the name of the network that it was routed for.
        target = _target(replace(plan, network=read_manifest(build).network), names[0])
        return _reload(build, source, target, loaded, out)


def _reload(build: Path, source: Source, target: Target, loaded: Path, out: Path) -> Target:
    if target.design != (build / CARRIER / target.name / DESIGN).read_text():
        raise UserError(
            f"'{source.name}' must have the layers, sizes and widths of the network that '{build}' was "
            f"routed for; route it for itself with {spelled('bitstream')}"
        )
    if not target.is_routed(build):
        raise UserError(f"the design routed in '{build}' must be whole, and is damaged; route it again")
    file = build / target.name / f"loaded.{target.ending}"
    with held(build / target.name):
        write_atomically(out, load(target, build, loaded, file).read_bytes())
    return target


def _target(plan: Plan, name: str) -> Target:
    return OnBoard(plan, BOARDS[name]) if name in BOARDS else Alone(plan, DEVICES[name])
