"""A routed ECP5 design that takes other weights: synthesis and routing know none, contents come afterwards.

What is synthesised and routed has random contents in every memory, the *carrier*: nothing in it can be
folded away because a weight happens to be constant, no two memories are alike, and it is the same for all
networks of one shape. The network's own contents are put in as any other's are.
"""

import shutil
from pathlib import Path

import numpy as np
from amaranth.back import rtlil

from codegen.accelerator import Accelerator, Taps, rom_widths
from codegen.build import write_contents
from codegen.ir import UserError, write_atomically
from codegen.networks import Source
from codegen.plan import Plan
from codegen.verilog import ROM_FILE, ROM_SOURCE

from .contents import check_layout, fill_config, fill_netlist, rom_contents
from .devices import DEVICES, Device, Family
from .netlist import Netlist
from .placement import ROUTED
from .synthesis import NETLIST, synthesise
from .tools import run

__all__ = [
    "CARRIER",
    "TOP",
    "carrier",
    "design_text",
    "filled",
    "is_loadable",
    "load",
    "random_files",
    "reload",
]

TOP = "intandem"
CARRIER = "carrier"
"""The folder, in that of a build, of what was synthesised and routed with random contents."""

_DESIGN = "design.il"


def is_loadable(plan: Plan, device: Device) -> bool:
    """Whether the contents of the plan's memories can be replaced on the device."""
    return plan.is_reloadable and device.family is Family.ECP5


def carrier(plan: Plan, device: Device, build: Path) -> Netlist:
    """The netlist of a reloadable accelerator with random contents, of which it is proven where they lie.

    Raises ``UserError`` if Yosys fails, or if it has made logic of a memory.
    """
    folder = build / CARRIER
    (folder / "rom").mkdir(parents=True, exist_ok=True)
    (folder / ROM_FILE).write_text(ROM_SOURCE)
    for name, text in random_files(plan, seed=0).items():
        (folder / name).write_text(text)
    netlist = synthesise(design_text(plan), TOP, device, folder, device.name)
    check_layout(netlist, rom_contents(folder / device.name / _DESIGN, TOP, folder))
    return netlist


def design_text(plan: Plan) -> str:
    """The accelerator in RTLIL, as it is synthesised alone."""
    return rtlil.convert(Accelerator(plan, taps=Taps.SCORES), name=TOP, emit_src=False)


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


def filled(netlist: Netlist, device: Device, build: Path) -> Netlist:
    """The carrier with the contents of the build's own ROM files, also written as its netlist."""
    fill_netlist(netlist, rom_contents(build / CARRIER / device.name / _DESIGN, TOP, build))
    (build / device.name).mkdir(exist_ok=True)
    netlist.write(build / device.name / NETLIST)
    return netlist


def load(device: Device, build: Path, roms: Path, name: str) -> Path:
    """Puts the ROM files in ``roms`` into the routed carrier of a build; the bitstream, ``name``.bit.

    Raises ``UserError`` if a tool fails.
    """
    design, place = build / CARRIER / device.name / _DESIGN, build / device.name
    place.mkdir(exist_ok=True)
    config = (build / CARRIER / device.name / ROUTED).read_text()
    before, after = (rom_contents(design, TOP, folder) for folder in (build / CARRIER, roms))
    (place / f"{name}.config").write_text(fill_config(config, before, after))
    arguments = [f"{device.name}/{name}.config", f"{device.name}/{name}.bit"]
    run("ecppack", arguments, build, f"{device.name}/ecppack.out")
    return place / f"{name}.bit"


def reload(build: Path, source: Source, out: Path) -> None:
    """Writes the bitstream ``out``: the routed design in the folder ``build`` with the weights and scales of
    another network of the same shape.

    Raises ``UserError`` if nothing loadable was routed there, or if the network needs another design.
    """
    routed = [device for device in DEVICES.values() if (build / CARRIER / device.name / ROUTED).is_file()]
    if not routed:
        raise UserError(
            f"'{build}' must hold a routed design that can be loaded; make one with "
            "python -m codegen bitstream NETWORK --reloadable --device ecp5-85k"
        )
    plan, loaded = write_contents(build, source)
    if design_text(plan) != (build / CARRIER / routed[0].name / _DESIGN).read_text():
        raise UserError(
            f"'{source.name}' must have the layers, sizes and widths of the network that '{build}' was "
            "routed for; route it for itself with python -m codegen bitstream"
        )
    write_atomically(out, load(routed[0], build, loaded, "reloaded").read_bytes())
    shutil.rmtree(loaded)
