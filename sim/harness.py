"""The Verilog that joins a design to its bench."""

from collections.abc import Sequence
from pathlib import Path

from .ports import Direction, StreamPort

__all__ = ["BENCH_SOURCE", "TOP", "harness_text", "visible_signals"]

TOP = "bench"
BENCH_SOURCE = Path(__file__).with_name("bench.v")

_HEAD = """\
// The bench of {design}. `finished` rises when every output has sent what is expected, or when nothing moved for too long.
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


def harness_text(design: str, ports: Sequence[StreamPort]) -> str:
    """The top module ``bench``: the design, a source or sink for each stream it has, and a probe on every stream."""
    inputs = [port for port in ports if port.direction is Direction.INPUT]
    outputs = [port for port in ports if port.direction is Direction.OUTPUT]
    parts = [_HEAD.format(design=design, top=TOP)]
    parts += [_stream(port, seed) for seed, port in enumerate(ports, start=1)]
    parts += [
        f"    assign offered = {' | '.join(f'{port.name}__valid' for port in inputs)};",
        f"    assign moving = {' | '.join(f'({port.name}__valid & {port.name}__ready)' for port in inputs + outputs)}"
        + "".join(f" | ({port.name}__valid & {port.name}__ready)" for port in ports if port.direction is Direction.TAP) + ";",
        f"    assign complete = {' & '.join(f'{port.name}_complete' for port in outputs)};",
        f"    {design} dut(.clk(clk), .rst(rst)"
        + "".join(f",\n        .{port.name}__{part}({port.name}__{part})" for port in ports for part in ("valid", "ready", "payload"))
        + ");",
        "endmodule",
    ]
    return "\n".join(parts) + "\n"


def _stream(port: StreamPort, seed: int) -> str:
    name, width = port.name, port.format.width
    lines = [
        f"    wire {name}__valid, {name}__ready;",
        f"    wire [{width - 1}:0] {name}__payload;",
        f"    wire [31:0] {name}_moved;",
    ]
    if port.direction is Direction.INPUT:
        lines.append(f'    bench_source #(.WIDTH({width}), .SEED({seed}), .NAME("{name}")) {name}_source(.clk(clk), .rst(rst), '
                     f".stall(stall), .valid({name}__valid), .ready({name}__ready), .payload({name}__payload));")
    elif port.direction is Direction.OUTPUT:
        lines += [
            f"    bench_sink #(.SEED({seed})) {name}_sink(.clk(clk), .stall(stall), .ready({name}__ready));",
            f"    reg [31:0] {name}_expected;",
            f'    initial if (!$value$plusargs("expect_{name}=%d", {name}_expected)) {name}_expected = 0;',
            f"    wire {name}_complete = {name}_moved >= {name}_expected;",
        ]
    lines.append(f'    bench_probe #(.WIDTH({width}), .NAME("{name}")) {name}_probe(.clk(clk), .rst(rst), .cycle(cycle), '
                 f".finished(finished), .valid({name}__valid), .ready({name}__ready), .payload({name}__payload), "
                 f".moved({name}_moved));")
    return "\n".join(lines)


def visible_signals() -> str:
    """Verilator's list of the signals that Python touches: the fewer, the faster."""
    rows = [f'public_flat_rw -module "{TOP}" -var "{name}"' for name in ("clk", "rst", "finished")]
    return "\n".join(["`verilator_config", *rows, ""])
