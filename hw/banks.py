"""The memories of a line buffer: granules in, steps of a window out."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .geometry import WindowGeometry
from .pipeline import later, valids
from .streams import Step, free_running

__all__ = ["SHALLOW", "Banks", "read_signature", "ring_depth", "word_bits", "write_signature"]


SHALLOW = 64
"""Words that distributed memory holds fast: the words of more are chosen from by logic in many levels."""


def write_signature(geometry: WindowGeometry, bits: int) -> wiring.Signature:
    return wiring.Signature(
        {
            "enable": Out(1),
            "row_bank": Out(range(max(2, geometry.row_lanes))),
            "run_bank": Out(range(max(2, geometry.run_banks))),
            "address": Out(range(max(2, ring_depth(geometry)))),
            "granule": Out(geometry.granule * bits),
            "row_end": Out(1),
        }
    )


def read_signature(geometry: WindowGeometry) -> wiring.Signature:
    """One step to read: the place of its first granule, and which rows and granules of it lie inside
    the map."""
    return wiring.Signature(
        {
            "enable": Out(1),
            "base": Out(range(max(2, ring_depth(geometry)))),
            "row_bank": Out(range(max(2, geometry.row_lanes))),
            "word": Out(signed(word_bits(geometry))),
            "run_bank": Out(range(max(2, geometry.run_banks))),
            "row_mask": Out(geometry.row_lanes),
            "run_mask": Out(geometry.run_banks),
            "first": Out(1),
            "last": Out(1),
        }
    )


def ring_depth(geometry: WindowGeometry) -> int:
    return geometry.buffer_rows // geometry.row_lanes * geometry.row_words


def word_bits(geometry: WindowGeometry) -> int:
    """Bits of a signed word index that may point into the padding on either side."""
    return (geometry.row_words + geometry.kernel[1] * geometry.pixel_granules + 1).bit_length() + 1


class Banks(wiring.Component):
    """The memories between registers: two while the addresses are added up, one inside each memory, one
    behind it, and one behind the rotation and the mask.

    A granule is written a cycle after it has come. By then the step that read its place for the last time has
    read: no word is written while one that counts is read from its place, so what a memory gives in such a
    cycle may be anything.
    """

    latency = 5

    def __init__(self, geometry: WindowGeometry, bits: int):
        self.geometry, self.bits = geometry, bits
        super().__init__(
            {
                "write": In(write_signature(geometry, bits)),
                "read": In(read_signature(geometry)),
                "row_written": Out(1),
                "o": Out(free_running(Step(bits, geometry.lanes))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        read = self.read
        m.d.comb += self.row_written.eq(self.write.row_end)
        valid = valids(m, read.enable, self.latency)
        m.d.comb += self.o.valid.eq(valid[-1])
        flags = Cat(read.row_bank, read.run_bank, read.first, read.last, read.row_mask, read.run_mask)
        adding, fetching, sending = valid[0:2], valid[2:4], valid[4]
        flags = later(m, adding, flags)
        addresses = self._addresses(m, adding, *_split(flags, [len(read.row_bank), len(read.run_bank)]))
        written = later(m, [self.write.enable], Cat(self.write.address, self.write.granule))
        words = [
            [self._bank(m, fetching, row, run, address, written) for run, address in enumerate(row_addresses)]
            for row, row_addresses in enumerate(addresses)
        ]
        self._output(m, sending, words, later(m, fetching, flags))
        return m

    def _addresses(
        self, m: Module, enables: list[Value], row_bank: Value, run_bank: Value
    ) -> list[list[Value]]:
        """Where each bank is read, by row and run: a bank before the first one of the step holds the step's
        next row or word."""
        g, read = self.geometry, self.read
        following = read.base + g.row_words
        wrapped = Mux(following >= ring_depth(g), following - ring_depth(g), following)
        word = later(m, enables[:1], read.word)
        near, far = (
            later(m, enables[1:], (later(m, enables[:1], base) + word)[: len(read.base)])
            for base in (read.base, wrapped)
        )
        return [
            [
                (Mux(row_bank > row, far, near) + (run_bank > run))[: len(read.base)]
                for run in range(g.run_banks)
            ]
            for row in range(g.row_lanes)
        ]

    def _bank(
        self, m: Module, enables: list[Value], row: int, run: int, address: Value, written: Value
    ) -> Value:
        """One memory with its output register; ``written``: the address and the granule that it may take."""
        g, write, enable = self.geometry, self.write, Signal(name=f"write_{row}_{run}")
        m.d.sync += enable.eq(write.enable & (write.row_bank == row) & (write.run_bank == run))
        depth = max(2, ring_depth(g))
        style = {"ram_style": "block"} if depth > SHALLOW else {}
        memory = Memory(shape=unsigned(g.granule * self.bits), depth=depth, init=[], attrs=style)
        m.submodules[f"bank_{row}_{run}"] = memory
        writing, reading = memory.write_port(), memory.read_port()
        m.d.comb += [
            writing.en.eq(enable),
            Cat(writing.addr, writing.data).eq(written),
            reading.en.eq(enables[0]),
            reading.addr.eq(address),
        ]
        return later(m, enables[1:], reading.data)

    def _output(self, m: Module, enable: Value, words: list[list[Value]], flags: Value) -> None:
        g, read = self.geometry, self.read
        widths = [len(read.row_bank), len(read.run_bank), 1, 1, g.row_lanes, g.run_banks]
        row_bank, run_bank, first, last, row_mask, run_mask = _split(flags, widths)
        rows = _rotate(m, [Cat(row) for row in words], row_bank, g.rotates_rows)
        lanes: list[Value] = []
        for t, row in enumerate(rows):
            size = g.granule * self.bits
            granules = [row.word_select(k, size) for k in range(g.run_banks)]
            granules = _rotate(m, granules, run_bank, g.rotates_runs)
            lanes += [Mux(row_mask[t] & run_mask[k], granule, 0) for k, granule in enumerate(granules)]
        step = self.o.payload
        with m.If(enable):
            m.d.sync += [step.codes.eq(Cat(lanes)), step.first.eq(first), step.last.eq(last)]


def _split(value: Value, widths: list[int]) -> list[Value]:
    starts = [sum(widths[:k]) for k in range(len(widths))]
    return [value[start : start + width] for start, width in zip(starts, widths, strict=True)]


def _rotate(m: Module, values: list[Value], amount: Value, varies: bool) -> list[Value]:
    """``values`` rotated left by ``amount``, one layer of multiplexers for each bit of it."""
    if varies:
        for bit in range(len(amount)):
            shifted = values[(1 << bit) % len(values) :] + values[: (1 << bit) % len(values)]
            rotated = Signal(sum(map(len, values)), name=f"rotated_{bit}")
            m.d.comb += rotated.eq(Mux(amount[bit], Cat(shifted), Cat(values)))
            values = [rotated.word_select(k, len(values[0])) for k in range(len(values))]
    return values
