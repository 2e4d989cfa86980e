"""Clock generators: no setting outside what the device can do, and none faster than was asked for."""

import pytest

from codegen.errors import UserError
from codegen.fpga.devices import Family
from codegen.fpga.pll import setting


@pytest.mark.parametrize("source", [25, 48])
def test_ecp5_settings_are_within_the_devices_limits(source: int) -> None:
    for tenth in range(100, 2400, 7):
        one = setting(Family.ECP5, source, tenth / 10)
        divide, times, post = (one.parameters[f"CLK{name}_DIV"] for name in ("I", "FB", "OP"))
        assert one.mhz == source * times / divide <= tenth / 10, tenth
        assert source / divide >= 3.125 and 400 <= one.mhz * post <= 800 and 1 <= post <= 128
        assert tenth / 10 - one.mhz < 3.2, "the steps are at most those of the slowest phase detector"


def test_ice40_settings_are_within_the_devices_limits() -> None:
    for tenth in range(85, 2000, 3):
        one = setting(Family.ICE40, 12, tenth / 10)
        oscillator = 12 * (one.parameters["DIVF"] + 1)
        assert one.mhz == oscillator / 2 ** one.parameters["DIVQ"] <= tenth / 10
        assert 533 <= oscillator <= 1066 and 1 <= one.parameters["DIVQ"] <= 6
        assert (one.parameters["DIVR"], one.parameters["FILTER_RANGE"]) == (0, 1)


def test_settings_by_hand() -> None:
    assert setting(Family.ECP5, 25, 113.1).mhz == 112.5
    assert setting(Family.ICE40, 12, 24).parameters == {"DIVR": 0, "DIVF": 63, "DIVQ": 5, "FILTER_RANGE": 1}


def test_words_for_a_clock_that_is_too_slow() -> None:
    with pytest.raises(UserError) as caught:
        setting(Family.ECP5, 25, 2.9)
    assert str(caught.value) == (
        "the accelerator's clock must be one that the device makes of 25 MHz, and none is as slow as 2.9 "
        "MHz; give the network fewer --lanes"
    )
