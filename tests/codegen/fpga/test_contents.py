"""Contents of block RAMs in a netlist and in a routed design: every bit in its place, nothing else moved."""

import re

import numpy as np
import pytest

from codegen.errors import UserError
from codegen.fpga.contents import check_layout, fill_config, fill_netlist
from codegen.fpga.netlist import Netlist


def words(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 512, 2048).astype(np.uint16)


def netlist(*names: str) -> Netlist:
    cells = {
        name: {"type": "DP16KD", "parameters": {}, "connections": {}, "port_directions": {}} for name in names
    }
    return Netlist({"modules": {"top": {"ports": {}, "cells": cells}}}, "top")


def config(*sections: np.ndarray) -> str:
    """As nextpnr writes it, with other things before, between and behind."""
    text = ".device LFE5U-85F\n\n.tile A:B\nword: EBR0.WID 011\n\n"
    for index, section in enumerate(sections, start=3):
        rows = "".join(" ".join(f"{word:03x}" for word in row) + "\n" for row in section.reshape(-1, 8))
        text += f".bram_init {index}\n{rows}\n"
    return text + ".tile C:D\nenum: EBR0.MODE DP16KD\n"


def test_a_word_lies_where_the_model_of_the_cell_reads_it() -> None:
    """Two words of 9 bits in 20 bits of a parameter, as sim/cells/ecp5_blocks.v has them."""
    contents = np.zeros(2048, np.uint16)
    contents[0], contents[1], contents[33] = 0x155, 0x0AA, 0x1FF
    design = netlist("a")
    fill_netlist(design, {"a": contents})
    parameters = design.cells["a"].parameters
    assert int(parameters["INITVAL_00"], 2) == 0x0AA << 9 | 0x155
    assert int(parameters["INITVAL_01"], 2) == 0x1FF << 9
    assert {len(value) for value in parameters.values()} == {320} and len(parameters) == 64


def test_what_is_filled_in_is_found_again_and_one_bit_is_missed() -> None:
    design = netlist("a", "b", "empty")
    contents = {"a": words(1), "b": words(2)}
    fill_netlist(design, contents)
    check_layout(design, contents)
    changed = words(2)
    changed[2047] ^= 256
    with pytest.raises(UserError, match=r"^memory 'b' must lie in block RAM, bit for bit, for its contents"):
        check_layout(design, contents | {"b": changed})
    with pytest.raises(UserError, match=r"^memory 'c' must lie"):
        check_layout(design, contents | {"c": words(3)})
    with pytest.raises(UserError, match=r"^memory 'b' must lie"):
        check_layout(design, {"a": words(1)})
    check_layout(design, {"a": words(1)}, lambda cell: cell != "b")


def test_a_routed_design_gets_other_contents_and_nothing_else() -> None:
    empty = np.zeros(2048, np.uint16)
    text = config(words(1), empty, words(2))
    after = {"two": words(4), "one": words(3)}
    assert fill_config(text, {"one": words(1), "two": words(2)}, after) == config(words(3), empty, words(4))


@pytest.mark.parametrize(("sections", "times"), [((1, 1), 2), ((2, 3), 0)])
def test_contents_that_do_not_tell_a_memory_are_refused(sections: tuple[int, int], times: int) -> None:
    text = config(*(words(seed) for seed in sections))
    message = (
        f"the routed design must have the contents of memory 'one' once, not {times} times; route it again"
    )
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        fill_config(text, {"one": words(1)}, {"one": words(5)})
