"""The two kinds of link, and the payloads that travel on them (docs/streams.md).

Between layers a link is *elastic*: valid and ready. Inside a layer it is *free-running*: a step that has
been started never stops, because its place in the layer's output FIFO was reserved before it started. So
nothing in a datapath needs an enable, and no ready signal crosses more than one layer.
"""

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Out

__all__ = ["OPERAND_BITS", "Step", "accumulator", "beat", "elastic", "free_running", "tap"]

OPERAND_BITS = 18
"""What a multiplier of the devices takes on each side, its sign included."""


def beat(shape: Shape | int, lanes: int) -> data.ArrayLayout:
    """``lanes`` numbers side by side; an ``int`` shape is that many unsigned bits."""
    return data.ArrayLayout(Shape.cast(shape), lanes)


def elastic(payload: data.Layout | Shape) -> stream.Signature:
    """A link with valid and ready: what two layers talk through."""
    return stream.Signature(payload)


def free_running(payload: data.Layout | Shape) -> stream.Signature:
    """A link that is always ready: what the stages of one layer talk through."""
    return stream.Signature(payload, always_ready=True)


class Step(data.StructLayout):
    """One step of a window: ``lanes`` codes, and whether it is the window's first or last step."""

    def __init__(self, bits: int, lanes: int):
        super().__init__({"codes": beat(bits, lanes), "first": unsigned(1), "last": unsigned(1)})


def tap(payload: data.Layout | Shape) -> wiring.Signature:
    """A passive copy of a link for a bench to look at: who taps can disturb nothing."""
    return wiring.Signature({"payload": Out(payload), "valid": Out(1), "ready": Out(1)})


def accumulator(low: int, high: int) -> Shape:
    """The narrowest shape that holds every integer from ``low`` to ``high``; signed if ``low`` is
    negative."""
    if low < 0:
        return signed(1 + max((~low).bit_length(), max(high, 0).bit_length()))
    return unsigned(max(1, high.bit_length()))
