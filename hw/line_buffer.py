"""The line buffer: pixels in, windows out, one step of a window per cycle."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .banks import Banks, read_signature, ring_depth, word_bits, write_signature
from .counters import LoopNest, lookup
from .geometry import WindowGeometry
from .streams import Step, beat, elastic, free_running

__all__ = ["LineBuffer"]

_ROW, _COLUMN, _GROUP, _REPEAT, _KERNEL_ROW, _KERNEL_COLUMN, _CHUNK = range(7)


class LineBuffer(wiring.Component):
    """Keeps the rows under the window and reads any window from them, in steps of ``row_lanes x run_lanes``
    codes.

    The rows lie in a ring of ``buffer_rows``. Memory is cut into banks, ``row_lanes`` by ``run_lanes /
    granule``, so that one step reads every bank once at most; a rotation puts the banks' words into the
    window's order, and is left out where every step starts at bank 0. Padding is not stored: it is masked
    to code 0 on the way out.

    ``i``: elastic, ``in_lanes`` codes of ``bits`` bits. ``o``: free-running steps. A window starts only in
    a cycle in which ``room`` is high. ``step`` pulses when a step is issued, ``start`` when it is a
    window's first.

    Latency: ``latency`` cycles from ``step`` to its codes on ``o``; a row can be read two cycles after its
    last beat was taken. Throughput: one step, and one granule in, per cycle. Windows of the next image
    follow without a gap if its rows have arrived. Kernel rows, columns and run ends outside the map read as
    code 0.
    """

    latency = Banks.latency

    def __init__(self, geometry: WindowGeometry, bits: int):
        self.geometry = geometry
        self.bits = bits
        super().__init__(
            {
                "i": In(elastic(beat(bits, geometry.in_lanes))),
                "o": Out(free_running(Step(bits, geometry.lanes))),
                "room": In(1),
                "step": Out(1),
                "start": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.writer = writer = _Writer(self.geometry, self.bits)
        m.submodules.reader = reader = _Reader(self.geometry)
        m.submodules.banks = banks = Banks(self.geometry, self.bits)
        m.d.comb += [
            writer.beat.eq(self.i.payload),
            writer.valid.eq(self.i.valid),
            self.i.ready.eq(writer.ready),
            writer.released.eq(reader.released),
            reader.row_written.eq(banks.row_written),
            reader.room.eq(self.room),
            self.step.eq(reader.step),
            self.start.eq(reader.start),
        ]
        wiring.connect(m, writer.write, banks.write)
        wiring.connect(m, reader.read, banks.read)
        wiring.connect(m, banks.o, wiring.flipped(self.o))
        return m


def _advance(
    m: Module, base: Signal, bank: Value, rows: int, geometry: WindowGeometry
) -> tuple[Value, Value]:
    """(base, bank) of the row ``rows`` further on in the ring: ``base`` counts in words, wraps, and carries
    from ``bank``."""
    high, low = divmod(rows % geometry.buffer_rows, geometry.row_lanes)
    size, unit = ring_depth(geometry), geometry.row_words
    carry = bank + low >= geometry.row_lanes
    raw = base + Mux(carry, (high + 1) * unit, high * unit)
    return Mux(raw >= size, raw - size, raw), Mux(carry, bank + low - geometry.row_lanes, bank + low)


class _Writer(wiring.Component):
    """Cuts beats into sub-beats, gathers them into granules and says where in the ring each one goes."""

    def __init__(self, geometry: WindowGeometry, bits: int):
        self.geometry, self.bits = geometry, bits
        super().__init__(
            {
                "beat": In(geometry.in_lanes * bits),
                "valid": In(1),
                "ready": Out(1),
                "released": In(range(geometry.rows + 1)),
                "write": Out(write_signature(geometry, bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        g = self.geometry
        held = Signal(range(g.buffer_rows + 1))
        take, row_end = Signal(), Signal()
        m.d.comb += take.eq(self.valid & (held != g.buffer_rows))
        m.d.sync += held.eq(held + (take & row_end) - self.released)

        sub, sub_last = self._sub_beats(m, take)
        m.d.comb += self.ready.eq((held != g.buffer_rows) & sub_last)
        granule, granule_end = self._gather(m, take, sub)
        self._place(m, take & granule_end, granule, row_end)
        return m

    def _sub_beats(self, m: Module, take: Value) -> tuple[Value, Value]:
        """The sub-beat of this cycle, and whether it is the last of its beat (the rest of a pixel's last
        beat is padding)."""
        g = self.geometry
        width = g.sub_beat * self.bits
        full = g.in_lanes // g.sub_beat
        tail = (g.channels - (g.pixel_beats - 1) * g.in_lanes) // g.sub_beat
        if full == 1:
            return self.beat, Const(1)
        m.submodules.beats = beats = LoopNest([g.pixel_beats])
        position = Signal(range(full))
        last = Signal()
        m.d.comb += [last.eq(position == Mux(beats.last[0], tail - 1, full - 1)), beats.step.eq(take & last)]
        with m.If(take):
            m.d.sync += position.eq(Mux(last, 0, position + 1))
        return self.beat.word_select(position, width), last

    def _gather(self, m: Module, take: Value, sub: Value) -> tuple[Value, Value]:
        g = self.geometry
        parts = g.granule // g.sub_beat
        if parts == 1:
            return sub, Const(1)
        m.submodules.parts = counter = LoopNest([parts])
        earlier = Signal((parts - 1) * g.sub_beat * self.bits, reset_less=True)
        m.d.comb += counter.step.eq(take)
        with m.If(take):
            m.d.sync += earlier.eq(Cat(earlier, sub) >> len(sub))
        return Cat(earlier, sub), counter.last[0]

    def _place(self, m: Module, place: Value, granule: Value, row_end: Signal) -> None:
        """Registers the write and moves on to the next granule's bank and address."""
        g = self.geometry
        m.submodules.position = position = LoopNest([g.columns * g.pixel_granules])
        base, row_bank = Signal(range(max(2, ring_depth(g)))), Signal(range(max(2, g.row_lanes)))
        word, run_bank = Signal(range(max(2, g.row_words + 1))), Signal(range(max(2, g.run_banks)))
        m.d.comb += [position.step.eq(place), row_end.eq(place & position.last[0])]
        m.d.sync += [self.write.enable.eq(place), self.write.row_end.eq(row_end)]
        with m.If(place):
            m.d.sync += [
                self.write.row_bank.eq(row_bank),
                self.write.run_bank.eq(run_bank),
                self.write.address.eq(base + word),
                self.write.granule.eq(granule),
                run_bank.eq(Mux(run_bank == g.run_banks - 1, 0, run_bank + 1)),
                word.eq(word + (run_bank == g.run_banks - 1)),
            ]
        with m.If(row_end):
            next_base, next_bank = _advance(m, base, row_bank, 1, g)
            m.d.sync += [base.eq(next_base), row_bank.eq(next_bank), word.eq(0), run_bank.eq(0)]


class _Reader(wiring.Component):
    """Walks the loop nest of the window and asks the banks for one step a cycle."""

    def __init__(self, geometry: WindowGeometry):
        self.geometry = geometry
        super().__init__(
            {
                "room": In(1),
                "row_written": In(1),
                "released": Out(range(geometry.rows + 1)),
                "step": Out(1),
                "start": Out(1),
                "read": Out(read_signature(geometry)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        g = self.geometry
        m.submodules.nest = nest = LoopNest(g.loops)
        filled = Signal(range(g.buffer_rows + 1))
        row = nest.index[_ROW]
        enough = filled >= lookup(m, row, g.need, "need")
        at_row, at_window = nest.first[_COLUMN], nest.first[_KERNEL_ROW]
        m.d.comb += [
            self.step.eq((enough | ~at_row) & (self.room | ~at_window)),
            self.start.eq(self.step & at_window),
            nest.step.eq(self.step),
            self.read.enable.eq(self.step),
            self.read.first.eq(at_window),
            self.read.last.eq(nest.last[_KERNEL_ROW]),
        ]
        with m.If(self.step & nest.last[_COLUMN]):
            m.d.comb += self.released.eq(lookup(m, row, g.release, "release"))
        m.d.sync += filled.eq(filled + self.row_written - self.released)
        self._rows(m, nest)
        self._columns(m, nest)
        self._masks(m, nest)
        return m

    def _rows(self, m: Module, nest: LoopNest) -> None:
        """The ring address of the kernel row being read; the window's top may lie above the map, in a
        masked row."""
        g = self.geometry
        high, low = divmod(-g.padding[0] % g.buffer_rows, g.row_lanes)
        top, base = (Signal(range(max(2, ring_depth(g))), init=high * g.row_words) for _ in range(2))
        bank = Signal(range(max(2, g.row_lanes)), init=low)
        m.d.comb += [self.read.base.eq(base), self.read.row_bank.eq(bank)]
        with m.If(self.step & nest.last[_KERNEL_COLUMN]):
            m.d.sync += base.eq(_advance(m, base, bank, g.row_lanes, g)[0])
        with m.If(self.step & nest.last[_KERNEL_ROW]):
            m.d.sync += base.eq(top)
        for ends, rows in ((nest.last[_COLUMN], g.stride[0]), (nest.last[_ROW], g.image_slots)):
            with m.If(self.step & ends):
                next_base, next_bank = _advance(m, top, bank, rows, g)
                m.d.sync += [top.eq(next_base), base.eq(next_base), bank.eq(next_bank)]

    def _columns(self, m: Module, nest: LoopNest) -> None:
        """The granule at which the step starts: one register, moved by what the outermost loop that
        advances asks for."""
        g = self.geometry
        strides = {
            _COLUMN: g.stride[1] * g.pixel_granules,
            _GROUP: g.pixel_granules // g.groups,
            _KERNEL_COLUMN: g.pixel_granules,
            _CHUNK: g.run_banks,
        }
        start_word, start_bank = divmod(-g.padding[1] * g.pixel_granules, g.run_banks)
        word = Signal(signed(word_bits(g)), init=start_word)
        bank = Signal(range(max(2, g.run_banks)), init=start_bank)
        m.d.comb += [self.read.word.eq(word), self.read.run_bank.eq(bank)]
        rewind = 0
        with m.If(self.step):
            for loop in reversed(range(_COLUMN, _CHUNK + 1)):
                move, rewind = (
                    strides.get(loop, 0) - rewind,
                    rewind + (g.loops[loop] - 1) * strides.get(loop, 0),
                )
                ends = nest.last[loop + 1] if loop < _CHUNK else Const(1)
                with m.If(ends):
                    words, granules = divmod(move, g.run_banks)
                    carry = bank + granules >= g.run_banks
                    m.d.sync += [
                        word.eq(word + words + carry),
                        bank.eq(Mux(carry, bank + granules - g.run_banks, bank + granules)),
                    ]
            with m.If(nest.last[_COLUMN]):
                m.d.sync += [word.eq(start_word), bank.eq(start_bank)]

    def _masks(self, m: Module, nest: LoopNest) -> None:
        g = self.geometry
        rows = {
            bounds: [
                sum((bounds[0] <= k * g.row_lanes + t < bounds[1]) << t for t in range(g.row_lanes))
                for k in range(g.loops[_KERNEL_ROW])
            ]
            for bounds in set(g.row_bounds)
        }
        m.d.comb += self.read.row_mask.eq(
            _edge_lookup(m, nest.index[_ROW], g.row_bounds, nest.index[_KERNEL_ROW], rows, "row_mask")
        )
        if g.groups == 1:
            scale = g.pixel_granules
            inside = {
                bounds: [
                    sum(
                        (bounds[0] * scale <= k * g.run_banks + t < bounds[1] * scale) << t
                        for t in range(g.run_banks)
                    )
                    for k in range(g.loops[_CHUNK])
                ]
                for bounds in set(g.column_bounds)
            }
            mask = _edge_lookup(
                m, nest.index[_COLUMN], g.column_bounds, nest.index[_CHUNK], inside, "run_mask"
            )
        else:
            visible = {
                bounds: [int(bounds[0] <= k < bounds[1]) for k in range(g.kernel[1])]
                for bounds in set(g.column_bounds)
            }
            column = _edge_lookup(
                m, nest.index[_COLUMN], g.column_bounds, nest.index[_KERNEL_COLUMN], visible, "column"
            )
            size = g.pixel_granules // g.groups
            tail = [
                sum((k * g.run_banks + t < size) << t for t in range(g.run_banks))
                for k in range(g.loops[_CHUNK])
            ]
            mask = Mux(column[0], lookup(m, nest.index[_CHUNK], tail, "tail"), 0)
        m.d.comb += self.read.run_mask.eq(mask)


def _edge_lookup(
    m: Module,
    outer: Value,
    kinds: tuple[tuple[int, int], ...],
    inner: Value,
    tables: dict[tuple[int, int], list[int]],
    name: str,
) -> Value:
    """``tables[kinds[outer]][inner]``: a few kinds of edge, each with its own small table."""
    order = sorted(tables)
    values = [lookup(m, inner, tables[kind], f"{name}_{index}") for index, kind in enumerate(order)]
    if len(order) == 1:
        return values[0]
    return Array(values)[lookup(m, outer, [order.index(kind) for kind in kinds], f"{name}_kind")]
