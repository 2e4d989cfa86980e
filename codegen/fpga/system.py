"""What a board carries: the accelerator in a clock of its own, and the link to a host in the board's."""

from dataclasses import replace

from amaranth.hdl import DomainRenamer, Module
from amaranth.lib import wiring
from amaranth.lib.fifo import AsyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from codegen.accelerator import Accelerator
from codegen.errors import UserError
from codegen.host.identity import Identity
from codegen.plan import Plan
from hw.link.host_link import HostLink
from hw.link.packing import Gather, Scatter
from hw.link.protocol import CLASS_BYTES, LinkShape
from hw.streams import accumulator

__all__ = ["System"]

_CROSSING = 8
"""Places in the FIFOs between the two clocks."""


class System(wiring.Component):
    """Images in on the serial line ``rx``, scores and classes out on ``tx``; ``latest`` is the last class.

    The clock domain ``link`` is the board's own, ``divisor`` of its cycles a bit; ``sync`` is the
    accelerator's, as fast as that can go. Raises ``UserError`` for a network that does not end in a class.
    """

    def __init__(self, plan: Plan, divisor: int):
        if plan.argmax is None:
            raise UserError(
                f"a network on a board must end in argmax, and '{plan.network}' does not; "
                f"append one, or use --device"
            )
        self.plan, self.divisor = plan, divisor
        first, scores = plan.layers[0].stage.source, plan.argmax.source
        self.scores = accumulator(scores.low, scores.high)
        size = first.rows * first.columns * first.channels
        self.shape = LinkShape(size, scores.channels, self.scores, b"")
        identity = Identity(
            plan.network,
            first.rows,
            first.columns,
            first.channels,
            first.high,
            scores.channels,
            self.shape.score_bytes,
            self.scores.signed,
            plan.side,
        )
        self.shape = replace(self.shape, identity=identity.to_bytes())
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "latest": Out(8 * CLASS_BYTES)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, width = self.plan.layers[-1].timing.lanes, self.scores.width
        m.submodules.link = link = DomainRenamer("link")(HostLink(self.shape, self.divisor))
        m.submodules.there = there = _crossing(8, "link", "sync")
        m.submodules.gather = gather = Gather(self.plan.input.bits, self.plan.input.lanes)
        # The class is found in the link, which sees the scores anyway.
        m.submodules.accelerator = accelerator = Accelerator(replace(self.plan, argmax=None))
        m.submodules.scatter = scatter = Scatter(self.scores, lanes, self.shape.count)
        m.submodules.back = back = _crossing(width, "sync", "link")
        m.d.comb += [link.rx.eq(self.rx), self.tx.eq(link.tx), self.latest.eq(link.latest)]
        wiring.connect(m, link.image, there.w_stream)
        wiring.connect(m, there.r_stream, gather.i)
        wiring.connect(m, gather.o, accelerator.i)
        wiring.connect(m, accelerator.o, scatter.i)
        wiring.connect(m, scatter.o, back.w_stream)
        wiring.connect(m, back.r_stream, link.scores)
        return m


def _crossing(width: int, source: str, target: str) -> AsyncFIFOBuffered:
    return AsyncFIFOBuffered(width=width, depth=_CROSSING + 1, w_domain=source, r_domain=target)
