# amaranth: UnusedElaboratable=no
"""Boards: their pins, clocks and constraints, and the words for what cannot be put on one."""

import re

import pytest
from rich.console import Console

from codegen.budget import Budget
from codegen.errors import UserError
from codegen.fpga.board_top import BoardTop
from codegen.fpga.boards import BOARDS, find_board
from codegen.fpga.devices import DEVICES
from codegen.fpga.on_board import with_dividers
from codegen.fpga.pll import setting
from codegen.fpga.system import System
from codegen.networks import Source
from codegen.plan import Plan
from codegen.planner import make_plan
from codegen.steps import Steps
from tests.networks import Chain


def plan(*, argmax: bool = True) -> Plan:
    chain = Chain(1, (4, 4, 1), 8).conv("conv", 2).requantise("q", 4).flatten().linear("fc", 3)
    network = (chain.argmax() if argmax else chain).network()
    return make_plan(Source("small", None, network, None), Budget(4), Steps(Console(quiet=True)))


@pytest.mark.parametrize("name", BOARDS)
def test_every_board_has_its_pins_and_both_clocks(name: str) -> None:
    board = BOARDS[name]
    clock = setting(board.device.family, board.mhz, 50)
    top = BoardTop(board, System(plan(), board.divisor), clock)
    files = {
        path: text if isinstance(text, str) else text.decode()
        for path, text in board.platform().prepare(top, "board").files.items()
    }
    constraints = files.get("board.lpf") or files["board.pcf"]
    assert "uart_0__rx" in constraints and "uart_0__tx" in constraints
    assert "button_0" in constraints and "led" in constraints
    assert re.search(rf" {board.mhz}(000000)?\.0", constraints), "the board's own clock"
    assert "EHXPLLL" in files["board.il"] or "SB_PLL40_2_PAD" in files["board.il"]


def test_boards_carry_devices_of_the_list_and_keep_the_lines_speed() -> None:
    for board in BOARDS.values():
        assert board.device.name in DEVICES
        assert board.mhz % board.divisor == 0 and board.mhz // board.divisor == 1, "a megabaud"


def test_words_for_a_board_that_is_unknown() -> None:
    names = "ulx3s, orangecrab-25f, orangecrab-85f, icebreaker"
    with pytest.raises(UserError) as caught:
        find_board("orangecrab")
    assert (
        str(caught.value) == f"board must be one of {names}, not 'orangecrab'; did you mean 'orangecrab-25f'?"
    )
    with pytest.raises(UserError) as caught:
        find_board("arty")
    assert str(caught.value) == f"board must be one of {names}, not 'arty'"


def test_words_for_a_network_without_a_class() -> None:
    with pytest.raises(UserError) as caught:
        System(plan(argmax=False), 25)
    assert str(caught.value) == (
        "a network on a board must end in argmax, and 'small' does not; append one, or use --device"
    )


ROUTED = """\
word: CLKI_DIV 0000100
word: CLKFB_DIV 0011001
word: CLKOP_DIV 0000101
word: CLKOP_CPHASE 0000010
word: CLKOS_DIV 0000111
"""


def test_dividers_are_written_into_what_was_routed() -> None:
    clock = setting(DEVICES["ecp5-85k"].family, 25, 100)
    assert clock.parameters == {"CLKI_DIV": 1, "CLKFB_DIV": 4, "CLKOP_DIV": 8, "CLKOP_CPHASE": 3}
    assert with_dividers(ROUTED, clock) == (
        "word: CLKI_DIV 0000000\nword: CLKFB_DIV 0000011\nword: CLKOP_DIV 0000111\n"
        "word: CLKOP_CPHASE 0000011\nword: CLKOS_DIV 0000111\n"
    )
    with pytest.raises(AssertionError, match="CLKI_DIV stands 2 times"):
        with_dividers(ROUTED * 2, clock)
