"""The Verilog that joins a design to its bench."""

from collections.abc import Sequence
from pathlib import Path

from .ports import Direction, StreamPort

__all__ = ["BENCH_SOURCE", "TOP", "harness_text", "visible_signals"]

TOP = "bench"
BENCH_SOURCE = Path(__file__).with_name("bench.v")

_HEAD = """\
// The bench of {design}: `finished` rises when every output has sent what is expected, or when nothing moved
// for too long.
module {top}(input wire clk, input wire rst, output reg finished);
    reg [31:0] cycle, quiet, stall, patience;
    wire offered, moving, complete;
    initial begin
        cycle = 0; quiet = 0; finished = 0;
        if (!$value$plusargs("stall=%d", stall)) stall = 0;
        if (!$value$plusargs("patience=%d", patience)) patience = 10000;
    end
    always @(posedge clk) if (!rst) begin
        if (offered || cycle != 0) cycle <= cycle + 1;
        quiet <= moving ? 0 : quiet + 1;
        if (complete || quiet >= patience) finished <= 1;
    end
"""

_STREAM = """\
    wire {name}__valid, {name}__ready;
    wire [{width}-1:0] {name}__payload;
    wire [31:0] {name}_moved;
    bench_probe #(.WIDTH({width}), .NAME("{name}")) {name}_probe(
        .clk(clk), .rst(rst), .cycle(cycle), .finished(finished), .moved({name}_moved),
        .valid({name}__valid), .ready({name}__ready), .payload({name}__payload));
"""

_SOURCE = """\
    bench_source #(.WIDTH({width}), .SEED({seed}), .NAME("{name}")) {name}_source(
        .clk(clk), .rst(rst), .stall(stall),
        .valid({name}__valid), .ready({name}__ready), .payload({name}__payload));
"""

_SINK = """\
    bench_sink #(.SEED({seed})) {name}_sink(.clk(clk), .stall(stall), .ready({name}__ready));
    reg [31:0] {name}_expected;
    initial if (!$value$plusargs("expect_{name}=%d", {name}_expected)) {name}_expected = 0;
    wire {name}_complete = {name}_moved >= {name}_expected;
"""

_ENDS = {Direction.INPUT: _SOURCE, Direction.OUTPUT: _SINK, Direction.TAP: ""}


def harness_text(design: str, ports: Sequence[StreamPort]) -> str:
    """The top module ``bench``: the design, a source or a sink for its streams, a probe on each."""
    streams = [
        (_STREAM + _ENDS[port.direction]).format(name=port.name, width=port.format.width, seed=seed)
        for seed, port in enumerate(ports, start=1)
    ]
    pins = [
        f".{port.name}__{part}({port.name}__{part})"
        for port in ports
        for part in ("valid", "ready", "payload")
    ]
    ends = [
        _assign(
            "offered", " | ", [f"{port.name}__valid" for port in ports if port.direction is Direction.INPUT]
        ),
        _assign("moving", " | ", [f"({port.name}__valid & {port.name}__ready)" for port in ports]),
        _assign(
            "complete",
            " & ",
            [f"{port.name}_complete" for port in ports if port.direction is Direction.OUTPUT],
        ),
        f"    {design} dut(\n        " + ",\n        ".join([".clk(clk)", ".rst(rst)", *pins]) + ");\n",
    ]
    return "".join([_HEAD.format(design=design, top=TOP), *streams, *ends, "endmodule\n"])


def _assign(name: str, operator: str, terms: Sequence[str]) -> str:
    return f"    assign {name} = {operator.join(terms)};\n"


def visible_signals(top: str, names: Sequence[str]) -> str:
    """Verilator's list of the signals of the module ``top`` that Python touches: the fewer, the faster."""
    rows = [f'public_flat_rw -module "{top}" -var "{name}"' for name in names]
    return "\n".join(["`verilator_config", *rows, ""])
