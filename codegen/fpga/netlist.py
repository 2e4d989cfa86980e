"""A netlist as Yosys writes it in JSON: one flat module of cells of a device."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Cell", "Netlist", "Pin"]

Net = int | str
"""The number of a net, or a constant: '0', '1', 'x'."""


@dataclass(frozen=True)
class Pin:
    """A pin of a cell; of a port of the design if ``cell`` is empty."""

    cell: str
    name: str


class Cell:
    """One cell. Most pins are one net wide, as on the device; some keep several under one name."""

    def __init__(self, name: str, content: dict[str, Any]):
        self.name, self.content = name, content

    @property
    def type(self) -> str:
        return str(self.content["type"])

    @property
    def parameters(self) -> dict[str, str]:
        found: dict[str, str] = self.content["parameters"]
        return found

    def net(self, pin: str) -> Net:
        """The net on a pin, the lowest of several; '0' where it is left open."""
        nets: list[Net] = self.content["connections"].get(pin) or ["0"]
        return nets[0]

    def connect(self, pin: str, net: Net, direction: str = "input") -> None:
        self.content["connections"][pin] = [net]
        self.content["port_directions"][pin] = direction

    def disconnect(self, pin: str) -> None:
        self.content["connections"].pop(pin, None)
        self.content["port_directions"].pop(pin, None)

    def pins(self, direction: str) -> Iterator[tuple[str, Net]]:
        """Pins of one direction, once for each net on them."""
        for pin, nets in self.content["connections"].items():
            if self.content["port_directions"][pin] == direction:
                yield from ((pin, net) for net in nets)


class Netlist:
    """A design after synthesis. ``content`` is the whole of Yosys' JSON and stays the truth."""

    def __init__(self, content: dict[str, Any], top: str):
        self.content, self.top = content, top
        self.index()

    @classmethod
    def read(cls, path: Path, top: str) -> "Netlist":
        return cls(json.loads(path.read_text()), top)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.content))

    @property
    def module(self) -> dict[str, Any]:
        found: dict[str, Any] = self.content["modules"][self.top]
        return found

    def index(self) -> None:
        """Finds cells and users anew, after cells or connections have changed."""
        self.cells = {name: Cell(name, cell) for name, cell in self.module["cells"].items()}
        self.drivers: dict[Net, Pin] = {}
        self.users: dict[Net, list[Pin]] = defaultdict(list)
        for name, port in self.module["ports"].items():
            for net in port["bits"]:
                if port["direction"] == "output":
                    self.users[net].append(Pin("", name))
        for cell in self.cells.values():
            for pin, net in cell.pins("input"):
                self.users[net].append(Pin(cell.name, pin))
            for pin, net in cell.pins("output"):
                self.drivers[net] = Pin(cell.name, pin)

    def free_net(self) -> int:
        """The first number that no net has, nor any above it."""
        ports = [net for port in self.module["ports"].values() for net in port["bits"]]
        return 1 + max(net for net in (*self.drivers, *self.users, *ports) if isinstance(net, int))

    def remove(self, names: set[str]) -> None:
        for name in names:
            del self.module["cells"][name]
        self.index()

    def counts(self) -> Counter[str]:
        """Cells by type."""
        return Counter(cell.type for cell in self.cells.values() if not cell.type.startswith("$"))

    def parts(self, part: Callable[[str], str]) -> Mapping[str, list[Cell]]:
        """The cells by the part of the design that ``part`` says a cell of this name belongs to."""
        parts: dict[str, list[Cell]] = defaultdict(list)
        for cell in self.cells.values():
            if not cell.type.startswith("$"):
                parts[part(cell.name)].append(cell)
        return parts
