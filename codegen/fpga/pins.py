"""A design for itself, without the pull of pins that it will not have on a board."""

from .devices import Family
from .netlist import Net, Netlist

__all__ = ["register_pins"]

# A space behind the 1, for else the netlist's reader takes it for a number.
_REGISTERS = {
    Family.ECP5: ("TRELLIS_FF", {"CEMUX": "1 ", "CLKMUX": "CLK", "LSRMUX": "LSR"}, ("CLK", "DI", "Q")),
    Family.ICE40: ("SB_DFF", {}, ("C", "D", "Q")),
}


def register_pins(netlist: Netlist, family: Family, clock: str = "clk") -> None:
    """Puts a flip-flop between every pin and the design, so that the way to the edge of the device counts in
    no path and pulls nothing there. For timing only: a handshake does not work across it."""
    ports = netlist.module["ports"]
    (clock_net,) = ports[clock]["bits"]
    free = netlist.free_net()
    for name, port in ports.items():
        if name == clock:
            continue
        for place, net in enumerate(port["bits"]):
            ends = (net, free) if port["direction"] == "output" else (free, net)
            _add(netlist, family, f"pin.{name}.{place}", clock_net, *ends)
            port["bits"][place] = free
            free += 1
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
