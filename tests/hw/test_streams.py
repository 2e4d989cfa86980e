# amaranth: UnusedElaboratable=no
"""The law of the streams, at the ports of every engine."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Const, Module, Shape, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import SimulatorContext

from codegen.accelerator import engine
from hw.fifo import OutputFifo, Reservation
from hw.geometry import WindowGeometry
from hw.line_buffer import LineBuffer
from hw.matrix_vector import ArrayShape, MatrixVectorUnit, Recentre, Serialiser
from hw.reduce import Argmax, MaxReduce
from hw.requantise import ScaleRequantise, ThresholdRequantise
from hw.streams import accumulator, beat, elastic, free_running, tap
from sim.amaranth_bench import AmaranthBench
from sim.ports import Stall
from sim.watchdog import Stuck

from .bench import Watched, simulate
from .cases import conv_case, pool_case


def small_conv() -> wiring.Component:
    return conv_case(4, size=(3, 3), images=2).engine()


def small_pool() -> wiring.Component:
    return pool_case(4, size=(4, 4)).engine()


def small_argmax() -> wiring.Component:
    return Watched(Argmax(signed(4), 2, 5))


@pytest.mark.parametrize("make", [small_conv, small_pool, small_argmax])
def test_output_is_offered_and_held_though_nobody_is_ready(make: Callable[[], wiring.Component]) -> None:
    """Law: Between layers a link is elastic."""
    dut = make()

    async def bench(ctx: SimulatorContext) -> None:
        offered = []
        for _ in range(400):
            ctx.set(dut.i.valid, 1)
            seen = []
            for ready in (1, 0):
                ctx.set(dut.o.ready, ready)
                seen.append((ctx.get(dut.o.valid), ctx.get(dut.o.payload)))
            assert seen[0] == seen[1], "what is offered must not depend on ready in the same cycle"
            offered += [seen[0][1]] if seen[0][0] else []
            await ctx.tick()
        assert len(offered) > 200 and all(payload == offered[0] for payload in offered)
        assert not ctx.get(dut.i.ready), "what is not taken must fill the engine up in the end"

    simulate(dut, bench)


class Fickle(wiring.Component):
    """Breaks the law: takes its offer back, or changes it, in the cycle ``when``."""

    def __init__(self, when: int, *, takes_back: bool):
        self.when, self.takes_back = when, takes_back
        super().__init__({"o": Out(elastic(unsigned(4)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cycle = Signal(8)
        breaks = cycle == self.when
        m.d.sync += cycle.eq(cycle + 1)
        m.d.comb += self.o.valid.eq((cycle >= 2) & ~(breaks & self.takes_back))
        m.d.comb += self.o.payload.eq(breaks & (not self.takes_back))
        return m


@pytest.mark.parametrize(
    ("when", "takes_back", "breaches"), [(5, True, [5]), (5, False, [5, 6]), (200, True, [])]
)
def test_breach_of_the_law_is_seen(when: int, takes_back: bool, breaches: list[int]) -> None:
    """The eye that all other tests rely on sees."""
    dut = Watched(Fickle(when, takes_back=takes_back))
    seen = []

    async def bench(ctx: SimulatorContext) -> None:
        for cycle in range(12):
            ctx.set(dut.o.ready, cycle >= 9)
            seen.extend([cycle] * ctx.get(dut.broken.valid))
            await ctx.tick()

    simulate(dut, bench)
    assert seen == breaches


def test_links_inside_a_layer_have_no_ready() -> None:
    """Law: Inside a layer a link never waits."""
    array = ArrayShape(2, 3, 4, 4, 900, 45, -600, 600)
    units = [
        LineBuffer(WindowGeometry(3, 3, 1, 1, (2, 2)), 4),
        MatrixVectorUnit(array),
        Serialiser(array, 1, 1, 2),
        Recentre(array, 1),
        ScaleRequantise(-9, 9, 1, 4, [1], [0], 0),
        ThresholdRequantise(-9, 9, 1, 1, [[0]]),
        MaxReduce(4, 2, 2),
    ]
    assert all(isinstance(unit.o.ready, Const) and unit.o.ready.value == 1 for unit in units)
    assert all(isinstance(unit.i.ready, Const) and unit.i.ready.value == 1 for unit in units[1:])
    fifo = OutputFifo(unsigned(4), 4, Reservation(1, 1, 1))
    assert isinstance(fifo.i.ready, Const) and not isinstance(fifo.o.ready, Const)


def test_beats_hold_neighbouring_channels_lowest_first() -> None:
    """Law: A beat holds neighbouring channels, lowest first."""
    one_pixel: dict[str, Any] = {
        "kernel": (1, 1),
        "size": (1, 2),
        "padding": (0, 0),
        "stride": (1, 1),
        "groups": 1,
    }
    fold: dict[str, Any] = {"channels": 3, "out": 5, "in_lanes": 2, "simd": (1, 3), "pe": 4}
    case = conv_case(2, form="raw", images=1, **one_pixel, **fold)
    record = AmaranthBench(case.engine()).run({"i": case.input_beats}, {"o": case.beats})
    first, second = case.images[0, 0].tolist()
    assert record["i"].codes.tolist() == [first[:2], [first[2], 0], second[:2], [second[2], 0]]
    first, second = case.values[0, 0].tolist()
    beats = record["o"].codes.tolist()
    assert [beats[0], beats[1][:1], beats[2], beats[3][:1]] == [first[:4], first[4:], second[:4], second[4:]]


@pytest.mark.parametrize("seed", range(6))
def test_what_pads_the_last_beat_of_a_pixel_is_not_looked_at(seed: int) -> None:
    for case in (
        conv_case(seed, channels=5, in_lanes=3, groups=1),
        pool_case(seed, channels=5, in_lanes=3, groups=1),
    ):
        beats, high = case.input_beats.copy(), case.layer.stage.source.high
        beats[1::2, 2] = high
        record = AmaranthBench(case.engine()).run({"i": beats}, {"o": case.beats}, stall=Stall(0.2, seed))
        pixels = record["o"].codes.reshape(
            -1, case.beats * case.layer.timing.lanes // case.values[..., 0].size
        )
        assert np.array_equal(pixels[:, : case.values.shape[-1]].reshape(case.values.shape), case.values), (
            case
        )


def test_taps_only_look() -> None:
    """Law: Taps disturb nothing."""
    assert {member.flow for member in tap(beat(3, 2)).members.values()} == {Out}
    case = conv_case(5)
    runs = [
        AmaranthBench(dut).run({"i": case.input_beats}, {"o": case.beats}, stall=Stall(0.3, 1))
        for dut in (case.engine(), engine(case.layer, inline=True))
    ]
    for name in ("i", "o"):
        assert all(np.array_equal(runs[0][name].cycles, run[name].cycles) for run in runs)


class Blocked(wiring.Component):
    """An engine whose output nobody ever takes."""

    def __init__(self, one: wiring.Component):
        self.one = one
        super().__init__({"i": In(one.i.signature.flip()), "o": Out(tap(one.payload))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.one = self.one
        wiring.connect(m, wiring.flipped(self.i), self.one.i)
        m.d.comb += [self.o.payload.eq(self.one.o.payload), self.o.valid.eq(self.one.o.valid)]
        return m


@pytest.mark.parametrize("make", [conv_case, pool_case])
def test_stuck_run_names_the_full_and_the_empty_stream(make: Callable[..., Any]) -> None:
    """Law: A stuck run names its streams."""
    case = make(4, size=(5, 5), images=9, in_lanes=1)
    one = engine(case.layer, inline=True)
    with pytest.raises(Stuck, match=r"^nothing moved after cycle \d+; full \(valid, not ready\): i, o$"):
        AmaranthBench(Blocked(one)).run({"i": case.input_beats}, {"o": case.beats}, patience=300)
    one = engine(case.layer, inline=True)
    with pytest.raises(Stuck, match=r"^nothing moved after cycle \d+; empty \(ready, not valid\): i, o$"):
        AmaranthBench(one).run({"i": case.input_beats[:-1]}, {"o": case.beats}, patience=300)


@pytest.mark.parametrize("low", range(-9, 4))
def test_accumulator_is_the_narrowest_shape(low: int) -> None:
    for high in range(low, 10):
        least = unsigned(1) if low >= 0 else signed(1)
        while low not in range(*_ends(least)) or high not in range(*_ends(least)):
            least = Shape(least.width + 1, least.signed)
        assert accumulator(low, high) == least, f"{low} to {high}"


def _ends(shape: Shape) -> tuple[int, int]:
    return (-(1 << shape.width - 1), 1 << shape.width - 1) if shape.signed else (0, 1 << shape.width)


def test_signatures() -> None:
    assert beat(3, 4).size == 12 and beat(signed(5), 2).size == 10
    assert not elastic(beat(3, 4)).always_ready and free_running(beat(3, 4)).always_ready
