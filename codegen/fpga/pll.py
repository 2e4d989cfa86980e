"""The clock generators inside the devices: which frequencies they can make of a board's clock."""

from collections.abc import Iterator
from dataclasses import dataclass

from codegen.errors import UserError

from .devices import Family

__all__ = ["Setting", "setting"]


@dataclass(frozen=True)
class Setting:
    """``mhz``: what comes out; ``parameters``: of the generator's cell, EHXPLLL or SB_PLL40."""

    mhz: float
    parameters: dict[str, int]


def setting(family: Family, source_mhz: float, most_mhz: float) -> Setting:
    """The highest frequency of at most ``most_mhz`` that a generator makes of ``source_mhz``.

    Raises ``UserError`` if there is none.
    """
    every = _ecp5_settings(source_mhz) if family is Family.ECP5 else _ice40_settings(source_mhz)
    found = [one for one in every if one.mhz <= most_mhz]
    if not found:
        raise UserError(
            f"the accelerator's clock must be one that the device makes of {source_mhz:g} MHz, and none is "
            f"as slow as {most_mhz:.1f} MHz; give the network fewer --lanes"
        )
    return max(found, key=lambda one: one.mhz)


def _ecp5_settings(source: float) -> Iterator[Setting]:
    """The phase detector works from 3.125 MHz, the oscillator from 400 to 800 MHz, and the output is fed back
    (Lattice FPGA-TN-02200)."""
    for divide in range(1, int(source / 3.125) + 1):
        for times in range(1, 81):
            mhz = source * times / divide
            post = min(128, int(800 // mhz))
            if mhz * post >= 400:
                phase = max(0, post // 2 - 1)
                names = ("CLKI_DIV", "CLKFB_DIV", "CLKOP_DIV", "CLKOP_CPHASE")
                yield Setting(mhz, dict(zip(names, (divide, times, post, phase), strict=True)))


def _ice40_settings(source: float) -> Iterator[Setting]:
    """The phase detector works from 10 to 133 MHz, the oscillator from 533 to 1,066 MHz (Lattice
    FPGA-TN-02052)."""
    loop = next(k for k, top in enumerate((17, 26, 44, 66, 101, 134), start=1) if source < top)
    for times in range(1, 129):
        for power in range(1, 7):
            if 533 <= source * times <= 1066:
                names = ("DIVR", "DIVF", "DIVQ", "FILTER_RANGE")
                yield Setting(
                    source * times / 2**power, dict(zip(names, (0, times - 1, power, loop), strict=True))
                )
