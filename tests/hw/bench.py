"""How these tests drive an engine: a process for what never stops, a component around what is elastic."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from amaranth.hdl import ClockDomain, Elaboratable, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator, SimulatorContext

from hw.streams import tap

Bench = Callable[[SimulatorContext], Awaitable[None]]


def simulate(component: wiring.Component, *benches: Bench, background: Sequence[Bench] = ()) -> None:
    """Runs testbenches to their ends, with a clock even for a component that needs none; those in the
    ``background`` end with them."""
    top = Module()
    top.domains.sync = ClockDomain()
    top.submodules.component = component
    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    for bench in benches:
        simulator.add_testbench(bench)
    for bench in background:
        simulator.add_testbench(bench, background=True)
    simulator.run()


def plain(value: Any) -> Any:
    """A payload as lists, dictionaries and integers."""
    if not isinstance(value, data.Const):
        return value
    layout = value.shape()
    if isinstance(layout, data.ArrayLayout):
        return [plain(value[k]) for k in range(layout.length)]
    return {name: plain(value[name]) for name, _ in layout}


def pump(
    unit: wiring.Component, beats: Sequence[Any], *, beside: Mapping[str, Sequence[Any]] | None = None
) -> list[tuple[int, Any]]:
    """Feeds a free-running unit one beat a cycle, the first in cycle 0; lists what left as (cycle, payload).

    A beat ``None`` is a pause, in which all bits of the payload are one: who looks at them is found out.
    ``beside``: for other ports, their value in the cycle of each beat. Before cycle 0 is one cycle of rest.
    """
    came = []

    async def bench(ctx: SimulatorContext) -> None:
        await ctx.tick()
        for cycle, beat in enumerate([*beats, *[None] * 16]):
            ctx.set(unit.i.valid, beat is not None)
            if beat is None:
                ctx.set(unit.i.payload.as_value(), -1)
            else:
                ctx.set(unit.i.payload, beat)
            for name, values in (beside or {}).items():
                ctx.set(getattr(unit, name), values[min(cycle, len(values) - 1)])
            if ctx.get(unit.o.valid):
                came.append((cycle, plain(ctx.get(unit.o.payload))))
            await ctx.tick()

    simulate(unit, bench)
    return came


class Careless(Elaboratable):
    """A memory that gives the opposite of what it holds for a word that is written in the same cycle: a block
    RAM may give anything then."""

    def __init__(self, **given: Any) -> None:
        self.memory = Memory(**given)
        self.writing, self.reading = self.memory.write_port(), self.memory.read_port()
        self.data = Signal(self.memory.shape)

    def write_port(self) -> Any:
        return self.writing

    def read_port(self) -> Any:
        return SimpleNamespace(en=self.reading.en, addr=self.reading.addr, data=self.data)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = self.memory
        met = Signal()
        with m.If(self.reading.en):
            m.d.sync += met.eq(self.writing.en & (self.writing.addr == self.reading.addr))
        m.d.comb += self.data.eq(Mux(met, ~self.reading.data, self.reading.data))
        return m


class Watched(wiring.Component):
    """An engine and an eye on its elastic output: every port of the engine, and two streams more.

    ``broken``: a beat in each cycle in which ``o`` has taken back or changed what it offered and nobody had
    taken. ``starts``: a beat whenever a window starts, if the engine is a layer.
    """

    def __init__(self, engine: wiring.Component):
        self.engine = engine
        members = dict(engine.signature.members)
        self.is_layer = "start" in members and members["start"].flow == Out
        extra = ["broken", "starts"] if self.is_layer else ["broken"]
        super().__init__(members | {name: Out(tap(unsigned(1))) for name in extra})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.engine = self.engine
        for name, member in self.engine.signature.members.items():
            inner, outer = getattr(self.engine, name), getattr(self, name)
            if member.is_signature:
                wiring.connect(m, wiring.flipped(outer), inner)
            else:
                m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        if self.is_layer:
            m.d.comb += [self.starts.valid.eq(self.start), self.starts.ready.eq(1)]
        held, offered = Signal(), Signal.like(self.o.payload)
        m.d.sync += [held.eq(self.o.valid & ~self.o.ready), offered.eq(self.o.payload)]
        changed = ~self.o.valid | (self.o.payload != offered)
        m.d.comb += [self.broken.valid.eq(held & changed), self.broken.ready.eq(1)]
        return m
