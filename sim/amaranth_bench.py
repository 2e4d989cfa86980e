"""The bench on Amaranth's own simulator, for small designs."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from amaranth.lib import wiring
from amaranth.sim import Simulator, SimulatorContext
from numpy.typing import NDArray

from .ports import NO_STALL, Direction, Record, Stall, StreamPort, StreamRecord, stream_ports
from .watchdog import Stuck, stuck_message

__all__ = ["AmaranthBench"]


@dataclass(frozen=True)
class AmaranthBench:
    """A ``Bench`` on Amaranth's own simulator: nothing to compile, a few thousand cycles a second at best."""

    component: wiring.Component

    def run(
        self,
        feeds: Mapping[str, NDArray[np.int64]],
        expected: Mapping[str, int],
        *,
        stall: Stall = NO_STALL,
        patience: int = 10_000,
    ) -> Record:
        run = _Run(self.component, feeds, expected, stall, patience)
        simulator = Simulator(self.component)
        simulator.add_clock(1e-6)
        simulator.add_testbench(run.run)
        simulator.run()
        return run.record()


class _Run:
    """Looks at every stream once a cycle, before the clock edge, then chooses what the next cycle brings."""

    def __init__(
        self,
        component: wiring.Component,
        feeds: Mapping[str, NDArray[np.int64]],
        expected: Mapping[str, int],
        stall: Stall,
        patience: int,
    ):
        self.component, self.stall, self.patience = component, stall, patience
        self.ports = stream_ports(component)
        self.feeds = {name: iter(_words(self._port(name), beats)) for name, beats in feeds.items()}
        self.missing = dict(expected)
        self.moved: dict[str, list[tuple[int, int]]] = {port.name: [] for port in self.ports}
        self.random = random.Random(stall.seed)

    def _port(self, name: str) -> StreamPort:
        return next(port for port in self.ports if port.name == name)

    async def run(self, ctx: SimulatorContext) -> None:
        quiet = cycle = 0
        self._drive(ctx, moved=set(self.feeds))
        while any(count > 0 for count in self.missing.values()):
            moved = self._look(ctx, cycle)
            quiet = 0 if moved else quiet + 1
            if quiet > self.patience:
                raise Stuck(stuck_message(self._states(ctx), max(cycle - quiet, -1)))
            if cycle or self._offered(ctx):
                cycle += 1
            await ctx.tick()
            self._drive(ctx, moved)

    def _offered(self, ctx: SimulatorContext) -> bool:
        return any(ctx.get(getattr(self.component, name).valid) for name in self.feeds)

    def _look(self, ctx: SimulatorContext, cycle: int) -> set[str]:
        moved = set()
        for port in self.ports:
            stream = getattr(self.component, port.name)
            if ctx.get(stream.valid) and ctx.get(stream.ready):
                moved.add(port.name)
                payload = stream.payload.as_value() if hasattr(stream.payload, "as_value") else stream.payload
                self.moved[port.name].append((cycle, ctx.get(payload) & ((1 << len(payload)) - 1)))
                if port.name in self.missing:
                    self.missing[port.name] -= 1
        return moved

    def _drive(self, ctx: SimulatorContext, moved: set[str]) -> None:
        for port in self.ports:
            stream = getattr(self.component, port.name)
            if port.direction is Direction.OUTPUT:
                ctx.set(stream.ready, self.random.random() >= self.stall.probability)
            elif port.direction is Direction.INPUT and (port.name in moved or not ctx.get(stream.valid)):
                word = (
                    None
                    if self.random.random() < self.stall.probability
                    else next(self.feeds[port.name], None)
                )
                ctx.set(stream.valid, word is not None)
                if word is not None:
                    payload = (
                        stream.payload.as_value() if hasattr(stream.payload, "as_value") else stream.payload
                    )
                    ctx.set(payload, word)

    def _states(self, ctx: SimulatorContext) -> dict[str, tuple[bool, bool]]:
        streams = {port.name: getattr(self.component, port.name) for port in self.ports}
        return {name: (bool(ctx.get(s.valid)), bool(ctx.get(s.ready))) for name, s in streams.items()}

    def record(self) -> Record:
        return {port.name: _stream_record(port, self.moved[port.name]) for port in self.ports}


def _words(port: StreamPort, beats: NDArray[np.int64]) -> list[int]:
    mask = (1 << port.format.bits) - 1
    return [
        sum((int(code) & mask) << (k * port.format.bits) for k, code in enumerate(beat)) for beat in beats
    ]


def _stream_record(port: StreamPort, moved: list[tuple[int, int]]) -> StreamRecord:
    form = port.format
    mask = (1 << form.bits) - 1
    lanes = [[word >> (k * form.bits) & mask for k in range(form.lanes)] for _, word in moved]
    codes = form.signed_codes(np.array(lanes, dtype=np.int64).reshape(len(moved), form.lanes))
    return StreamRecord(np.array([cycle for cycle, _ in moved], dtype=np.int64), codes)
