"""Carry chains of an ECP5 that take no more logic cells than they have bits.

A carry cell (CCU2C) has two halves. Each has a table of A, B, C, D, the propagate, and one of A and B, the
generate; it sends the generate on where it does not propagate what came in, and gives propagate xor carry.
As Yosys leaves the chains, nextpnr puts a whole cell in front of each, which feeds its constant carry in, and
one behind it, which brings out the last carry, read or not. And Yosys keeps tables in front of a chain whose
function its halves could have as well.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from .netlist import Cell, Net, Netlist

__all__ = ["trim_carries"]

_INPUTS = "ABCD"
_BITS = (0, 1)


@dataclass(frozen=True)
class _Half:
    """One half of a carry cell. ``init``: its table, with the generate in the lowest four bits.
    ``sum``: None if nobody reads it."""

    inputs: tuple[Net, ...]
    init: int
    sum: Net | None

    def propagates(self, a: int, b: int) -> int:
        """For a half whose C and D are constant."""
        c, d = (int(net) for net in self.inputs[2:])
        return self.init >> (a + 2 * b + 4 * c + 8 * d) & 1

    def generates(self, a: int, b: int) -> int:
        """What it sends on if it does not propagate."""
        return self.init >> (a + 2 * b) & 1

    @property
    def has_two_inputs(self) -> bool:
        """Whether C and D are constant."""
        return set(self.inputs[2:]) <= {"0", "1"}


def trim_carries(netlist: Netlist) -> None:
    """Lets every carry chain begin and end without a cell for that, and moves tables of two inputs into its
    halves."""
    for chain in list(_chains(netlist)):
        halves = [half for cell in chain for half in _halves(netlist, cell)]
        if not netlist.users.get(chain[-1].net("COUT")):
            chain[-1].disconnect("COUT")
            halves = _begun(netlist, chain[0], halves)
        _write(chain, [_with_table(netlist, half) for half in halves])
    netlist.index()
    netlist.remove({cell.name for cell in netlist.cells.values() if _is_unused_table(netlist, cell)})


def _chains(netlist: Netlist) -> Iterator[list[Cell]]:
    """The cells of every chain in order, up to one whose carry is read by anything else."""
    cells = [cell for cell in netlist.cells.values() if cell.type == "CCU2C"]
    for cell in cells:
        before = netlist.drivers.get(cell.net("CIN"))
        if before is None or _next(netlist, netlist.cells.get(before.cell)) is not cell:
            chain = [cell]
            while (after := _next(netlist, chain[-1])) is not None:
                chain.append(after)
            if all(one.parameters.get(f"INJECT1_{k}") == "NO" for one in chain for k in _BITS):
                yield chain


def _next(netlist: Netlist, cell: Cell | None) -> Cell | None:
    """The carry cell that alone reads the carry of another."""
    users = netlist.users.get(cell.net("COUT"), []) if cell is not None and cell.type == "CCU2C" else []
    return netlist.cells[users[0].cell] if [pin.name for pin in users] == ["CIN"] else None


def _halves(netlist: Netlist, cell: Cell) -> Iterator[_Half]:
    for k in _BITS:
        inputs = tuple(cell.net(f"{pin}{k}") for pin in _INPUTS)
        read = cell.net(f"S{k}") if netlist.users.get(cell.net(f"S{k}")) else None
        yield _Half(inputs, int(cell.parameters[f"INIT{k}"], 2), read)


def _write(chain: Sequence[Cell], halves: Sequence[_Half]) -> None:
    for place, half in enumerate(halves):
        cell, k = chain[place // 2], place % 2
        for pin, net in zip(_INPUTS, half.inputs, strict=True):
            cell.connect(f"{pin}{k}", net)
        if half.sum is None:
            cell.disconnect(f"S{k}")
        else:
            cell.connect(f"S{k}", half.sum, "output")
        cell.parameters[f"INIT{k}"] = f"{half.init:016b}"


# -- the ends ----------------------------------------------------------------------------------------------


def _begun(netlist: Netlist, first: Cell, halves: list[_Half]) -> list[_Half]:
    """The halves of a chain whose carry out nobody reads, without a constant carry in: one that is left over
    at the end makes it, or the first does without, and a table beside it gives its sum."""
    carry = first.net("CIN")
    if carry not in ("0", "1"):
        return halves
    if halves[-1].sum is None:
        halves = [_generator(("1",) * 4, lambda a, b: int(carry)), *halves[:-1]]
    elif halves[0].has_two_inputs:
        halves = [_folded(netlist, first.name, halves[0], int(carry)), *halves[1:]]
    else:
        return halves
    first.disconnect("CIN")
    return halves


def _generator(inputs: tuple[Net, ...], carry: Callable[[int, int], int]) -> _Half:
    """A half that never propagates and sends on ``carry`` of A and B."""
    init = sum(carry(a, b) << (a + 2 * b) for a in _BITS for b in _BITS)
    return _Half((*inputs[:2], "1", "1"), init, None)


def _folded(netlist: Netlist, name: str, half: _Half, carry: int) -> _Half:
    """The first half of a chain, made independent of what comes in, which is ``carry`` always."""
    if half.sum is not None:
        table = sum((half.propagates(a, b) ^ carry) << (a + 2 * b) for a in _BITS for b in _BITS)
        _add_table(netlist, f"{name}$first", (*half.inputs[:2], "0", "0"), table * 0x1111, half.sum)
    return _generator(half.inputs, lambda a, b: carry if half.propagates(a, b) else half.generates(a, b))


def _add_table(netlist: Netlist, name: str, inputs: Sequence[Net], init: int, output: Net) -> None:
    netlist.module["cells"][name] = {
        "hide_name": 0,
        "type": "LUT4",
        "parameters": {"INIT": f"{init:016b}"},
        "attributes": {},
        "port_directions": {**dict.fromkeys(_INPUTS, "input"), "Z": "output"},
        "connections": {**{pin: [net] for pin, net in zip(_INPUTS, inputs, strict=True)}, "Z": [output]},
    }


# -- tables in front ---------------------------------------------------------------------------------------


def _with_table(netlist: Netlist, half: _Half) -> _Half:
    """The half with a table of at most two inputs, in front of its A or B, moved into it."""
    if not half.has_two_inputs:
        return half
    for side in (1, 0):
        table = _table_before(netlist, half.inputs[side])
        kept = _generate_of(half, 1 - side)
        if table is None or kept is None:
            continue
        nets, function = table
        init = 0
        for u in _BITS:
            for v in _BITS:
                for a in _BITS:
                    pair = (a, function(u, v)) if side else (function(u, v), a)
                    init |= half.propagates(*pair) << (8 + a + 2 * u + 4 * v)
                    init |= kept[a] << (a + 2 * u)
        return replace(half, inputs=(half.inputs[1 - side], *nets, "1"), init=init)
    return half


def _generate_of(half: _Half, side: int) -> tuple[int, ...] | None:
    """What a half sends on that does not propagate, if its A (0) or its B (1) alone tells that."""
    found = []
    for one in _BITS:
        pairs = [(one, other) if side == 0 else (other, one) for other in _BITS]
        sent = {half.generates(*pair) for pair in pairs if not half.propagates(*pair)}
        if len(sent) > 1:
            return None
        found.append(sent.pop() if sent else 0)
    return tuple(found)


def _table_before(netlist: Netlist, net: Net) -> tuple[tuple[Net, Net], Callable[[int, int], int]] | None:
    """The two inputs and the function of the table that drives a net, if it has no more."""
    driver = netlist.drivers.get(net)
    cell = netlist.cells.get(driver.cell) if driver is not None else None
    if cell is None or cell.type != "LUT4":
        return None
    init = int(cell.parameters["INIT"], 2)
    nets = [cell.net(pin) for pin in _INPUTS]
    places = [k for k in range(4) if nets[k] not in ("0", "1", "x")]
    constant = sum(1 << k for k in range(4) if nets[k] == "1")
    if len(places) > 2:
        return None

    def value(*bits: int) -> int:
        index = constant + sum(bit << place for bit, place in zip(bits, places, strict=False))
        return init >> index & 1

    u, v = ([nets[k] for k in places] + ["0", "0"])[:2]
    return (u, v), value


def _is_unused_table(netlist: Netlist, cell: Cell) -> bool:
    return cell.type == "LUT4" and not netlist.users.get(cell.net("Z"))
