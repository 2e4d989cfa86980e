"""The line buffer alone: its steps against a NumPy sliding window, and the cycles in which it makes them."""

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from amaranth.sim import SimulatorContext
from numpy.typing import NDArray

from codegen.beats import BeatFormat
from codegen.cycles import predict
from hw import banks
from hw.fifo import Reservation
from hw.geometry import WindowGeometry, ceil_div
from hw.line_buffer import LineBuffer
from hw.timing import LayerTiming

from .bench import Careless, plain, simulate
from .cases import Draw, geometry_case, seeds


@pytest.fixture(autouse=True)
def _careless_memories(monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: A row stays until no window needs it.

    No word that counts is read while it is written.
    """
    monkeypatch.setattr(banks, "Memory", Careless)


def golden(g: WindowGeometry, maps: NDArray[np.int64]) -> NDArray[np.int64]:
    """The codes of every step (steps, lanes) for maps (N, H, W, C)."""
    padded = np.pad(maps, ((0, 0), (g.padding[0],) * 2, (g.padding[1],) * 2, (0, 0)))
    views = np.lib.stride_tricks.sliding_window_view(padded, g.kernel, axis=(1, 2))
    views = views[:, :: g.stride[0], :: g.stride[1]].transpose(0, 1, 2, 4, 5, 3)
    split = views.reshape(*views.shape[:5], g.groups, -1).transpose(0, 1, 2, 5, 3, 4, 6)
    _, _, _, repeats, kernel_rows, kernel_columns, chunks = g.loops
    runs = split.reshape(-1, g.kernel[0], kernel_columns, g.run)
    spare = kernel_rows * g.row_lanes - g.kernel[0], chunks * g.run_lanes - g.run
    runs = np.pad(runs, ((0, 0), (0, spare[0]), (0, 0), (0, spare[1])))
    steps = runs.reshape(-1, kernel_rows, g.row_lanes, kernel_columns, chunks, g.run_lanes)
    windows = steps.transpose(0, 1, 3, 4, 2, 5).reshape(-1, g.window_steps, g.lanes)
    return windows.repeat(repeats, axis=0).reshape(-1, g.lanes)


@dataclass
class Trace:
    """What a line buffer did: the cycles of its steps and of those that started a window, what it sent and
    when, and in which cycles it had room."""

    steps: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    sent: list[tuple[int, Any]] = field(default_factory=list)
    room: list[int] = field(default_factory=list)


def trace(g: WindowGeometry, bits: int, maps: NDArray[np.int64], hindrance: float = 0.0) -> Trace:
    """``hindrance``: how likely the input pauses in a cycle, and how likely there is no room."""
    line, seen, chance = LineBuffer(g, bits), Trace(), random.Random(str(g))
    beats = BeatFormat(g.in_lanes, bits).pack(maps).tolist()
    wanted = len(maps) * g.steps

    async def bench(ctx: SimulatorContext) -> None:
        cycle, waiting, offered = 0, iter(beats), False
        while len(seen.sent) < wanted:
            if not offered and chance.random() >= hindrance and (beat := next(waiting, None)) is not None:
                ctx.set(line.i.payload, beat)
                offered = True
            ctx.set(line.i.valid, offered)
            room = chance.random() >= hindrance
            ctx.set(line.room, room)
            for log, now in (
                (seen.room, room),
                (seen.steps, ctx.get(line.step)),
                (seen.starts, ctx.get(line.start)),
            ):
                log.extend([cycle] * now)
            if ctx.get(line.o.valid):
                seen.sent.append((cycle, plain(ctx.get(line.o.payload))))
            offered &= not ctx.get(line.i.ready)
            await ctx.tick()
            cycle += 1
            assert cycle < 60_000, f"{len(seen.sent)} of {wanted} steps came"

    simulate(line, bench)
    return seen


def check(g: WindowGeometry, bits: int, maps: NDArray[np.int64], hindrance: float = 0.0) -> Trace:
    """Every step as NumPy has it, at its time, and no window without room."""
    seen = trace(g, bits, maps, hindrance)
    note = f"{len(maps)} maps of {bits}-bit codes, hindrance {hindrance}: {g}"
    assert [beat["codes"] for _, beat in seen.sent] == golden(g, maps).tolist(), note
    place = np.arange(len(seen.sent)) % g.window_steps
    assert [beat["first"] for _, beat in seen.sent] == (place == 0).tolist(), note
    assert [beat["last"] for _, beat in seen.sent] == (place == g.window_steps - 1).tolist(), note
    assert [cycle for cycle, _ in seen.sent] == [cycle + LineBuffer.latency for cycle in seen.steps], note
    assert seen.steps == [start + k for start in seen.starts for k in range(g.window_steps)], note
    assert set(seen.starts) <= set(seen.room), note
    return seen


def predicted_starts(g: WindowGeometry, images: int) -> list[int]:
    """The cycle model's claim for a line buffer that always has room."""
    timing = LayerTiming(g, 1, Reservation(g.repeats, 1, 1), LineBuffer.latency, fifo_depth=1 << 40)
    return predict([timing], images).layers[0].starts.tolist()


def maps_for(g: WindowGeometry, seed: int) -> tuple[int, NDArray[np.int64]]:
    """The width of codes, and images of them, fewer where each takes long."""
    draw = Draw(seed, {})
    bits = draw.whole(1, 8)
    return bits, draw.codes(bits, draw.whole(2, 3) if g.steps < 300 else 2, g.rows, g.columns, g.channels)


@pytest.mark.parametrize("seed", seeds(24, 200))
def test_steps_are_a_sliding_window_and_start_as_predicted(seed: int) -> None:
    g = geometry_case(seed)
    bits, maps = maps_for(g, seed)
    assert check(g, bits, maps).starts == predicted_starts(g, len(maps)), g


@pytest.mark.parametrize("seed", seeds(24, 200))
def test_steps_are_the_same_when_input_and_room_come_and_go(seed: int) -> None:
    g = geometry_case(seed)
    bits, maps = maps_for(g, seed)
    check(g, bits, maps, hindrance=(1 + seed % 6) / 10)


CORNERS = {
    "rows rotate by padding": geometry_case(
        1, size=(5, 3), kernel=(3, 2), stride=(2, 1), padding=(1, 0), lanes=(2, 1)
    ),
    "rows rotate by stride": geometry_case(
        2, size=(7, 3), kernel=(3, 2), stride=(1, 1), padding=(0, 0), lanes=(3, 1)
    ),
    "rows rotate from image to image": geometry_case(
        3, size=(5, 3), kernel=(2, 2), stride=(2, 1), padding=(0, 0), lanes=(2, 1)
    ),
    "runs rotate by padding": geometry_case(
        4, size=(3, 6), kernel=(2, 3), stride=(1, 3), padding=(0, 1), groups=1, channels=1, lanes=(1, 3)
    ),
    "runs rotate by stride": geometry_case(
        5, size=(3, 6), kernel=(2, 3), stride=(1, 1), padding=(0, 0), groups=1, channels=2, lanes=(1, 5)
    ),
    "runs rotate by group": geometry_case(
        6, size=(3, 4), kernel=(2, 2), stride=(1, 1), padding=(1, 1), groups=2, channels=6, lanes=(1, 2)
    ),
    "both rotate": geometry_case(
        7, size=(6, 6), kernel=(3, 3), stride=(1, 1), padding=(1, 1), groups=1, channels=3, lanes=(2, 7)
    ),
}


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("in_lanes", [1, 2, 3, 7])
def test_rotation_puts_banks_in_order(corner: str, in_lanes: int) -> None:
    """Law: Memory is cut into banks of granules."""
    shape = CORNERS[corner]
    g = WindowGeometry(
        *(shape.rows, shape.columns, shape.channels, in_lanes, shape.kernel, shape.stride, shape.padding),
        *(shape.groups, 1, shape.row_lanes, shape.run_lanes),
    )
    assert g.rotates_rows == ("rows" in corner or "both" in corner)
    assert g.rotates_runs == ("runs" in corner or "both" in corner)
    maps = np.random.default_rng(in_lanes).integers(0, 8, (3, g.rows, g.columns, g.channels))
    assert check(g, 3, maps).starts == predicted_starts(g, 3), g


@pytest.mark.parametrize("seed", seeds(8, 60))
def test_fewest_rows_are_enough(seed: int) -> None:
    """Law: A row stays until no window needs it."""
    fewest = geometry_case(seed, buffer_rows=0)
    rows = fewest.row_lanes * ceil_div(fewest.least_rows, fewest.row_lanes)
    g = geometry_case(seed, buffer_rows=rows)
    bits, maps = maps_for(g, seed)
    assert check(g, bits, maps).starts == predicted_starts(g, len(maps)), g


@pytest.mark.parametrize(
    "g",
    [
        WindowGeometry(5, 4, 2, 2, (3, 3), (1, 1), (1, 1), repeats=2, row_lanes=1, run_lanes=6),
        WindowGeometry(5, 4, 2, 2, (3, 3), (1, 1), (1, 1), row_lanes=3, run_lanes=6),
        WindowGeometry(4, 6, 1, 1, (2, 2), (2, 2), (0, 0), repeats=5, row_lanes=2, run_lanes=2),
        WindowGeometry(4, 4, 4, 4, (1, 1), (1, 1), (0, 0), groups=4, repeats=2),
    ],
    ids=["reader slower", "one window a cycle", "stride", "groups"],
)
def test_one_step_a_cycle_once_the_pipeline_is_full(g: WindowGeometry) -> None:
    """Law: Steps follow one another without a gap."""
    maps = np.random.default_rng(0).integers(0, 4, (4, g.rows, g.columns, g.channels))
    steps = check(g, 2, maps).steps
    assert set(np.diff(steps[-2 * g.steps :])) == {1}


@pytest.mark.parametrize(
    "g",
    [
        WindowGeometry(1, 1, 1, 1, (1, 1)),
        WindowGeometry(1, 1, 6, 4, (1, 1), groups=3, run_lanes=2),
        WindowGeometry(3, 4, 2, 2, (3, 4), row_lanes=3, run_lanes=8),
        WindowGeometry(2, 2, 2, 1, (4, 4), padding=(2, 2), row_lanes=4, run_lanes=8),
        WindowGeometry(1, 9, 1, 1, (1, 3), (1, 3), run_lanes=2),
    ],
    ids=["one by one", "one pixel", "kernel is the map", "kernel larger than the map", "one row"],
)
def test_smallest_sizes(g: WindowGeometry) -> None:
    maps = np.random.default_rng(0).integers(0, 4, (3, g.rows, g.columns, g.channels))
    assert check(g, 2, maps).starts == predicted_starts(g, 3)
