// The bench around a design, in Verilog because a whole network moves millions of beats: sources that read beats from
// files, sinks that take them, and probes that write down every transfer with its cycle.
// Files hold one word a line in hexadecimal. `stall` is a probability times 2^32.

module bench_noise #(parameter SEED = 1) (input wire clk, output reg [31:0] noise);
    wire [31:0] a = noise ^ (noise << 13);
    wire [31:0] b = a ^ (a >> 17);
    initial begin
        integer given;
        noise = SEED;
        if ($value$plusargs("stall_seed=%d", given)) noise = (SEED + given) * 32'h9e3779b1 | 1;
    end
    always @(posedge clk) noise <= b ^ (b << 5);
endmodule

module bench_source #(parameter WIDTH = 1, parameter SEED = 1, parameter NAME = "") (
    input wire clk, input wire rst, input wire [31:0] stall,
    output reg valid, input wire ready, output reg [WIDTH-1:0] payload
);
    integer file;
    reg [WIDTH-1:0] word;
    wire [31:0] noise;
    bench_noise #(.SEED(SEED)) pause(.clk(clk), .noise(noise));
    initial begin
        file = $fopen({NAME, ".in"}, "r");
        valid = 0;
    end
    always @(posedge clk) begin
        if (rst) valid <= 0;
        else if (!valid || ready) begin
            if (noise < stall) valid <= 0;
            else if ($fscanf(file, "%h", word) == 1) begin
                valid <= 1;
                payload <= word;
            end else valid <= 0;
        end
    end
endmodule

module bench_sink #(parameter SEED = 1) (input wire clk, input wire [31:0] stall, output reg ready);
    wire [31:0] noise;
    bench_noise #(.SEED(SEED)) refuse(.clk(clk), .noise(noise));
    initial ready = 1;
    always @(posedge clk) ready <= noise >= stall;
endmodule

module bench_probe #(parameter WIDTH = 1, parameter NAME = "") (
    input wire clk, input wire rst, input wire [31:0] cycle, input wire finished,
    input wire valid, input wire ready, input wire [WIDTH-1:0] payload,
    output reg [31:0] moved
);
    integer file;
    reg held, broken;
    reg [WIDTH-1:0] previous;
    initial begin
        file = $fopen({NAME, ".out"}, "w");
        moved = 0; held = 0; broken = 0;
    end
    always @(posedge clk) if (!rst && !finished) begin
        if (valid && ready) begin
            $fwrite(file, "%h %h\n", cycle, payload);
            moved <= moved + 1;
        end
        // The handshake's law: what is offered stays offered, unchanged, until it is taken.
        if (held && (!valid || payload != previous)) broken <= 1;
        held <= valid && !ready;
        previous <= payload;
    end
    always @(posedge finished) begin
        $fdisplay(file, "end %b%b%b", valid, ready, broken);
        $fclose(file);
    end
endmodule
