"""A design for itself, without the pins that it will not have on a board."""

from .devices import Family
from .netlist import Net, Netlist

__all__ = ["register_pins"]

# A space behind the 1, for else the netlist's reader takes it for a number.
_REGISTERS = {
    Family.ECP5: ("TRELLIS_FF", {"CEMUX": "1 ", "CLKMUX": "CLK", "LSRMUX": "LSR"}, ("CLK", "DI", "Q")),
    Family.ICE40: ("SB_DFF", {}, ("C", "D", "Q")),
}


def register_pins(netlist: Netlist, family: Family, clock: str = "clk") -> None:
    """Puts a flip-flop on every bit that comes in or goes out, and takes the pins away: what comes in moves
    along a chain of them from the one pin that is left beside the clock, what goes out ends there. However
    wide the design is, it needs no more pins, and nothing pulls it to the edge of the device.

    For area and timing only: a handshake does not work across it.
    """
    ports = netlist.module["ports"]
    (clock_net,) = ports[clock]["bits"]
    free = first = netlist.free_net()
    link: Net = first
    for name, port in ports.items():
        for place, net in enumerate(port["bits"] if name != clock else ()):
            if port["direction"] == "output":
                free += 1
                _add(netlist, family, f"pin.{name}.{place}", clock_net, net, free)
            else:
                _add(netlist, family, f"pin.{name}.{place}", clock_net, link, net)
                link = net
    chain = {"direction": "input", "bits": [first]}
    netlist.module["ports"] = {clock: ports[clock], "chain": chain}
    netlist.index()


def _add(netlist: Netlist, family: Family, name: str, clock: Net, source: Net, sink: Net) -> None:
    kind, parameters, (clock_pin, input_pin, output_pin) = _REGISTERS[family]
    netlist.module["cells"][name] = {
        "hide_name": 0,
        "type": kind,
        "parameters": dict(parameters),
        "attributes": {},
        "port_directions": {clock_pin: "input", input_pin: "input", output_pin: "output"},
        "connections": {clock_pin: [clock], input_pin: [source], output_pin: [sink]},
    }
