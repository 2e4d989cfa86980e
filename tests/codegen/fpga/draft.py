"""Made-up netlists for the passes over them."""

from typing import Any

from codegen.fpga.netlist import Netlist

CLOCK, ENABLE, OTHER = 2, 3, 4


class Draft:
    """A netlist under construction; nets are numbers from 10 up."""

    def __init__(self) -> None:
        self.cells: dict[str, Any] = {}
        self.ports: dict[str, Any] = {}
        self._last = 9

    def nets(self, count: int) -> list[int]:
        self._last += count
        return list(range(self._last - count + 1, self._last + 1))

    def cell(
        self, name: str, kind: str, outputs: dict[str, Any], parameters: dict[str, str], **pins: Any
    ) -> None:
        connections = {
            pin: nets if isinstance(nets, list) else [nets] for pin, nets in (pins | outputs).items()
        }
        directions = {pin: "output" if pin in outputs else "input" for pin in connections}
        self.cells[name] = {
            "type": kind,
            "parameters": parameters,
            "connections": connections,
            "port_directions": directions,
        }

    def register(self, name: str, d: int | str, **changes: Any) -> int:
        """A flip-flop with enable; ``changes``: pins or parameters."""
        q = self.nets(1)[0]
        pins = {"CLK": CLOCK, "CE": ENABLE, "LSR": "0", "DI": d}
        given = {"CEMUX": "CE", "CLKMUX": "CLK", "REGSET": "RESET", "GSR": "DISABLED"}
        pins |= {pin: net for pin, net in changes.items() if pin in pins}
        given |= {name: value for name, value in changes.items() if name in given}
        self.cell(name, "TRELLIS_FF", {"Q": q}, given, **pins)
        return q

    def multiplier(self, a: list[int | str], b: list[int | str]) -> list[int]:
        """As wide as its operands; the other pins are 0."""
        products = self.nets(len(a) + len(b))
        pins = {f"A{k}": (a + ["0"] * 18)[k] for k in range(18)}
        pins |= {f"B{k}": (b + ["0"] * 18)[k] for k in range(18)}
        self.cell("mult", "MULT18X18D", {f"P{k}": net for k, net in enumerate(products)}, {}, **pins)
        return products

    def memory(self, width: int, **pins: Any) -> list[int]:
        """One read port: on side B, or on both if it is 36 wide."""
        words = self.nets(width)
        names = [f"DO{side}{k}" for side in ("AB" if width == 36 else "B") for k in range(18)][:width]
        given = {f"DATA_WIDTH_{side}": f"{width:032b}" for side in "AB"}
        given |= {"REGMODE_A": "NOREG", "REGMODE_B": "NOREG"}
        self.cell("ram", "DP16KD", dict(zip(names, words, strict=True)), given, **({"CLKB": CLOCK} | pins))
        return words

    def table(self, name: str, init: int, **pins: Any) -> int:
        """A table of up to four inputs; the others are 0."""
        z = self.nets(1)[0]
        self.cell(name, "LUT4", {"Z": z}, {"INIT": f"{init:016b}"}, **(dict.fromkeys("ABCD", "0") | pins))
        return z

    def carry(self, name: str, inits: tuple[int, int], **pins: Any) -> tuple[int, int, int]:
        """A carry cell: its two sums and its carry out."""
        outputs = dict(zip(("S0", "S1", "COUT"), self.nets(3), strict=True))
        given = {f"INIT{k}": f"{init:016b}" for k, init in enumerate(inits)}
        given |= {"INJECT1_0": "NO", "INJECT1_1": "NO"}
        self.cell(name, "CCU2C", outputs, given, **pins)
        return outputs["S0"], outputs["S1"], outputs["COUT"]

    def output(self, name: str, net: int) -> None:
        self.ports[name] = {"direction": "output", "bits": [net]}

    def netlist(self) -> Netlist:
        return Netlist({"modules": {"top": {"ports": self.ports, "cells": self.cells}}}, "top")
