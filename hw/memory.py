"""Read-only memories: weights in step order, parameters in channel order."""

from collections.abc import Sequence
from typing import NamedTuple

from amaranth.hdl import Cat, ClockSignal, Instance, Module, Mux, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .counters import LoopNest
from .pipeline import later, valids

__all__ = ["BANK_WORDS", "ROM_MODULE", "ROM_VERILOG", "Rom", "RomBank", "SequenceRom", "rom_banks"]

ROM_MODULE = "intandem_rom"

BANK_WORDS, _MOST_BANKS = 2048, 8
"""Words of a bank: what one block RAM holds of 9 bits. With more a device joins several, and the logic that
chooses between them would stand before the register in which a word is read."""

ROM_VERILOG = f"""\
// A read-only memory whose contents come from a file of hexadecimal words, one a line, row 0 first.
//
// The file is looked for in the folder that the tool runs in, or in INTANDEM_FOLDER where that is defined.
// A simulation ends at once if the file is not there or is not as long as it must be: simulators take that
// for a warning, go on with zeros, and give wrong classes.
module {ROM_MODULE} #(
    parameter WIDTH = 8,
    parameter DEPTH = 2,
    parameter FILE = "",
    parameter ADDRESS = DEPTH > 1 ? $clog2(DEPTH) : 1
) (
    input wire clk,
    input wire enable,
    input wire [ADDRESS-1:0] address,
    output reg [WIDTH-1:0] data
);
`ifdef INTANDEM_FOLDER
    localparam PATH = {{`INTANDEM_FOLDER, "/", FILE}};
`else
    localparam PATH = FILE;
`endif
`ifdef ROM_WHOLE
    // As deep as the blocks that hold it: each has some bits of every word, no logic chooses between them.
    localparam ROWS = DEPTH > `ROM_WHOLE && DEPTH < {BANK_WORDS} ? 1 << ADDRESS : DEPTH > 1 ? DEPTH : 2;
`else
    localparam ROWS = DEPTH > 1 ? DEPTH : 2;
`endif
    (* rom_style = "block" *) reg [WIDTH-1:0] memory [0:ROWS-1];
`ifdef SYNTHESIS
    initial if (FILE != "") $readmemh(PATH, memory);
`else
    localparam BYTES = DEPTH * ((WIDTH + 3) / 4 + 1);
    integer file, bytes;
    initial if (FILE != "") begin
        file = $fopen(PATH, "r");
        if (file == 0)
            $fatal(1, "'%0s' must be there and is not; %0s", PATH,
                "run in the folder of the build, or define INTANDEM_FOLDER");
        bytes = $fseek(file, 0, 2) == 0 ? $ftell(file) : 0;
        $fclose(file);
        if (bytes != BYTES)
            $fatal(1, "'%0s' must have %0d bytes, not %0d; build anew", PATH, BYTES, bytes);
        $readmemh(PATH, memory, 0, DEPTH - 1);
    end
`endif
    always @(posedge clk) if (enable) data <= memory[address];
endmodule
"""


class Rom(wiring.Component):
    """``depth`` words of ``width`` bits: ``data`` is ``contents[address]`` one cycle after ``enable``, and
    stays.

    ``contents``: the words, or the name of a file that holds them in hexadecimal. A file keeps megabytes of
    weights out of the Verilog text, and new weights need no new Verilog; Amaranth's own simulator needs the
    words.
    """

    def __init__(self, width: int, depth: int, contents: Sequence[int] | str):
        if not isinstance(contents, str) and len(contents) != depth:
            raise ValueError(f"contents must be {depth} words, not {len(contents)}")
        self.width, self.depth, self.contents = width, depth, contents
        super().__init__(
            {
                "address": In(range(max(2, depth))),
                "enable": In(1),
                "data": Out(width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if isinstance(self.contents, str):
            m.submodules.rom = Instance(
                ROM_MODULE,
                p_WIDTH=self.width,
                p_DEPTH=self.depth,
                p_FILE=self.contents,
                i_clk=ClockSignal(),
                i_enable=self.enable,
                i_address=self.address,
                o_data=self.data,
            )
            return m
        memory = Memory(
            shape=unsigned(self.width),
            depth=max(2, self.depth),
            init=list(self.contents),
            attrs={"rom_style": "block"},
        )
        m.submodules.memory = memory
        port = memory.read_port()
        m.d.comb += [port.addr.eq(self.address), port.en.eq(self.enable), self.data.eq(port.data)]
        return m


class RomBank(NamedTuple):
    """Words ``start`` to ``end`` of a ROM, in the memory of their own that ``file`` fills."""

    start: int
    end: int
    file: str


def rom_banks(depth: int, file: str = "") -> list[RomBank]:
    """The banks of a ROM of ``depth`` words that the name ``file`` stands for; one if it is larger than any
    device could hold."""
    if not BANK_WORDS < depth <= _MOST_BANKS * BANK_WORDS:
        return [RomBank(0, depth, file)]
    name = file.removesuffix(".hex")
    return [
        RomBank(start, min(start + BANK_WORDS, depth), file and f"{name}.row{start}.hex")
        for start in range(0, depth, BANK_WORDS)
    ]


class SequenceRom(wiring.Component):
    """Words handed out in turn, the first after the last: each ``step`` brings the next word to ``data``,
    ``latency`` cycles later, where it stays until the one after it comes.

    ``parts``: (width, contents) of each, side by side in a word; contents as in ``Rom``, a file's name as in
    ``rom_banks``. Behind every memory stands a register that a device's block RAM has inside.
    """

    latency = 2

    def __init__(self, depth: int, parts: Sequence[tuple[int, Sequence[int] | str]]):
        self.depth, self.parts = depth, tuple(parts)
        super().__init__({"step": In(1), "data": Out(sum(width for width, _ in parts))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.counter = counter = LoopNest([self.depth])
        m.d.comb += counter.step.eq(self.step)
        fetching, fetched, _ = valids(m, self.step, self.latency)
        index, words = counter.index[0], []
        for k, (width, contents) in enumerate(self.parts):
            banks = []
            for start, end, file in rom_banks(self.depth, contents if isinstance(contents, str) else ""):
                name = f"rom_{k}" if end - start == self.depth else f"rom_{k}_{start}"
                m.submodules[name] = rom = Rom(width, end - start, file or contents[start:end])
                m.d.comb += [rom.address.eq(index[: len(rom.address)]), rom.enable.eq(fetching)]
                banks.append(later(m, [fetched], rom.data))
            *others, word = banks
            if others:  # no case is left over, which synthesis would make a reset of the register behind
                which = later(m, [fetching, fetched], index[BANK_WORDS.bit_length() - 1 :])
                for bank, other in enumerate(others):
                    word = Mux(which == bank, other, word)
            words.append(word)
        m.d.comb += self.data.eq(Cat(words))
        return m
