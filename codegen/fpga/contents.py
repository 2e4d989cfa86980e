"""The contents of an ECP5's block RAMs: read from ROM files, put into a netlist or into a routed design.

Which bit of which ROM lies where is Yosys' to say: its pass that maps memories is run on the design's ROMs
alone, with the ROM files of the moment. That its answer is the layout of the whole netlist too is not taken
for granted: `check_layout` compares all of it, with contents of which no two memories are alike.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codegen.errors import UserError
from codegen.verilog import ROM_FILE, ROM_SOURCE
from hw.memory import ROM_MODULE

from .cells import WHOLE_ROMS
from .netlist import Netlist
from .tools import run

__all__ = ["Contents", "check_layout", "fill_config", "fill_netlist", "rom_contents"]

Contents = Mapping[str, NDArray[np.uint16]]
"""For each block RAM, by the name of its cell, its 2,048 words of 9 bits."""

_WORDS, _WIDTH = 2048, 9
_ROWS = 64  # parameters INITVAL_00 to INITVAL_3F, each of 16 times 20 bits, of which 18 are two words
_SECTION = re.compile(r"(?<=^\.bram_init )(\d+)\n((?:[0-9a-f]{3}[ \n])+)", re.MULTILINE)

# All logic goes, so that nothing else is mapped; what the passes do to a ROM does not depend on its contents.
_SCRIPT = f"""\
read_rtlil memories/design.il
delete */p:* */t:$* */m:*
read_verilog -defer -DROM_WHOLE={WHOLE_ROMS} memories/{ROM_FILE}
hierarchy -top {{top}}
select =*{ROM_MODULE}
proc
opt_expr
opt_clean
opt_dff
opt_clean
memory_dff
memory_collect
select -clear
flatten
memory_libmap -lib +/lattice/brams_16kd.txt
write_json memories/memories.json
"""


def rom_contents(design: Path, top: str, folder: Path) -> Contents:
    """The contents of the block RAMs that the ROMs of a design become, with the ROM files in ``folder``.

    ``design``: its RTLIL, with the module ``top``. Raises ``UserError`` if Yosys fails.
    """
    work = folder / "memories"
    work.mkdir(exist_ok=True)
    (work / "design.il").write_bytes(design.read_bytes())
    (work / ROM_FILE).write_text(ROM_SOURCE)
    (work / "memories.ys").write_text(_SCRIPT.format(top=top))
    run("yosys", ["-q", "memories/memories.ys"], folder, "memories/yosys.out")
    cells = json.loads((work / "memories.json").read_text())["modules"][top]["cells"]
    return {
        name: _words(_bits(cell["parameters"]["INIT"]))
        for name, cell in cells.items()
        if "INIT" in cell["parameters"]
    }


def check_layout(
    netlist: Netlist, contents: Contents, counts: Callable[[str], bool] = lambda cell: True
) -> None:
    """Raises ``UserError`` unless the netlist has exactly these block RAMs with these contents.

    Those whose cell does not count, by its name, and those that begin empty, line buffers and FIFOs, may be
    there too.
    """
    found = {
        cell.name: _cell_words(cell.parameters)
        for cell in netlist.cells.values()
        if cell.type == "DP16KD" and counts(cell.name)
    }
    found = {name: words for name, words in found.items() if name in contents or words.any()}
    for name in sorted(found.keys() | contents.keys()):
        if name not in found or name not in contents or not np.array_equal(found[name], contents[name]):
            raise UserError(
                f"memory '{name}' must lie in block RAM, bit for bit, for its contents to be replaced, and "
                "synthesis made something else of it; fold its layer so that the memory has more rows"
            )


def fill_netlist(netlist: Netlist, contents: Contents) -> None:
    """Puts contents into the block RAMs of a netlist."""
    for name, words in contents.items():
        netlist.cells[name].parameters.update(_parameters(words))


def fill_config(config: str, before: Contents, after: Contents) -> str:
    """A routed design (nextpnr's textual configuration) with other contents.

    ``before`` are the contents it was routed with: they tell which of its memories is which, and so no two
    may be alike. Raises ``UserError`` if one is not found exactly once.
    """
    places: dict[bytes, list[int]] = {}
    for section in _SECTION.finditer(config):
        words = np.array([int(word, 16) for word in section[2].split()], np.uint16)
        places.setdefault(words.tobytes(), []).append(int(section[1]))
    chosen: dict[int, NDArray[np.uint16]] = {}
    for name, words in before.items():
        found = places.get(words.astype(np.uint16).tobytes(), [])
        if len(found) != 1:
            raise UserError(
                f"the routed design must have the contents of memory '{name}' once, not {len(found)} times; "
                "route it again"
            )
        chosen[found[0]] = after[name]

    def replaced(section: re.Match[str]) -> str:
        index = int(section[1])
        return f"{index}\n{_section_text(chosen[index])}" if index in chosen else section[0]

    return _SECTION.sub(replaced, config)


def _section_text(words: NDArray[np.uint16]) -> str:
    return "".join(" ".join(f"{word:03x}" for word in row) + "\n" for row in words.reshape(-1, 8))


def _bits(text: str) -> NDArray[np.uint16]:
    """Bits from the lowest up; those that are not given ('x') are 0."""
    return (np.frombuffer(text.encode(), np.uint8)[::-1] == ord("1")).astype(np.uint16)


def _words(bits: NDArray[np.uint16]) -> NDArray[np.uint16]:
    words: NDArray[np.uint16] = bits.reshape(-1, _WIDTH) @ (1 << np.arange(_WIDTH, dtype=np.uint16))
    return words


def _cell_words(parameters: Mapping[str, str]) -> NDArray[np.uint16]:
    rows = [_bits(parameters.get(f"INITVAL_{row:02X}", "").rjust(320, "0")) for row in range(_ROWS)]
    return _words(np.concatenate(rows).reshape(-1, 20)[:, :18].ravel())


def _parameters(words: NDArray[np.uint16]) -> dict[str, str]:
    pairs = words.reshape(_ROWS, 16, 2).tolist()
    return {
        f"INITVAL_{row:02X}": "".join(f"{high << 9 | low:020b}" for low, high in reversed(pairs[row]))
        for row in range(_ROWS)
    }
