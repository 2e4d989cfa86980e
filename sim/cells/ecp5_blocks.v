// What Yosys has no models of among the cells of an ECP5: its block RAM and its multiplier, as far as our
// netlists use them.

// 2048 words of 9 bits. A port of 18 bits takes two of them, one of 36 four, on the pins of both ports; a
// narrower one uses 8 of the 9 bits.
module DP16KD #(
    parameter [319:0] INITVAL_00 = 0,
    parameter [319:0] INITVAL_01 = 0,
    parameter [319:0] INITVAL_02 = 0,
    parameter [319:0] INITVAL_03 = 0,
    parameter [319:0] INITVAL_04 = 0,
    parameter [319:0] INITVAL_05 = 0,
    parameter [319:0] INITVAL_06 = 0,
    parameter [319:0] INITVAL_07 = 0,
    parameter [319:0] INITVAL_08 = 0,
    parameter [319:0] INITVAL_09 = 0,
    parameter [319:0] INITVAL_0A = 0,
    parameter [319:0] INITVAL_0B = 0,
    parameter [319:0] INITVAL_0C = 0,
    parameter [319:0] INITVAL_0D = 0,
    parameter [319:0] INITVAL_0E = 0,
    parameter [319:0] INITVAL_0F = 0,
    parameter [319:0] INITVAL_10 = 0,
    parameter [319:0] INITVAL_11 = 0,
    parameter [319:0] INITVAL_12 = 0,
    parameter [319:0] INITVAL_13 = 0,
    parameter [319:0] INITVAL_14 = 0,
    parameter [319:0] INITVAL_15 = 0,
    parameter [319:0] INITVAL_16 = 0,
    parameter [319:0] INITVAL_17 = 0,
    parameter [319:0] INITVAL_18 = 0,
    parameter [319:0] INITVAL_19 = 0,
    parameter [319:0] INITVAL_1A = 0,
    parameter [319:0] INITVAL_1B = 0,
    parameter [319:0] INITVAL_1C = 0,
    parameter [319:0] INITVAL_1D = 0,
    parameter [319:0] INITVAL_1E = 0,
    parameter [319:0] INITVAL_1F = 0,
    parameter [319:0] INITVAL_20 = 0,
    parameter [319:0] INITVAL_21 = 0,
    parameter [319:0] INITVAL_22 = 0,
    parameter [319:0] INITVAL_23 = 0,
    parameter [319:0] INITVAL_24 = 0,
    parameter [319:0] INITVAL_25 = 0,
    parameter [319:0] INITVAL_26 = 0,
    parameter [319:0] INITVAL_27 = 0,
    parameter [319:0] INITVAL_28 = 0,
    parameter [319:0] INITVAL_29 = 0,
    parameter [319:0] INITVAL_2A = 0,
    parameter [319:0] INITVAL_2B = 0,
    parameter [319:0] INITVAL_2C = 0,
    parameter [319:0] INITVAL_2D = 0,
    parameter [319:0] INITVAL_2E = 0,
    parameter [319:0] INITVAL_2F = 0,
    parameter [319:0] INITVAL_30 = 0,
    parameter [319:0] INITVAL_31 = 0,
    parameter [319:0] INITVAL_32 = 0,
    parameter [319:0] INITVAL_33 = 0,
    parameter [319:0] INITVAL_34 = 0,
    parameter [319:0] INITVAL_35 = 0,
    parameter [319:0] INITVAL_36 = 0,
    parameter [319:0] INITVAL_37 = 0,
    parameter [319:0] INITVAL_38 = 0,
    parameter [319:0] INITVAL_39 = 0,
    parameter [319:0] INITVAL_3A = 0,
    parameter [319:0] INITVAL_3B = 0,
    parameter [319:0] INITVAL_3C = 0,
    parameter [319:0] INITVAL_3D = 0,
    parameter [319:0] INITVAL_3E = 0,
    parameter [319:0] INITVAL_3F = 0,
    parameter DATA_WIDTH_A = 18, parameter DATA_WIDTH_B = 18,
    parameter REGMODE_A = "NOREG", parameter REGMODE_B = "NOREG",
    parameter RESETMODE = "SYNC", parameter ASYNC_RESET_RELEASE = "SYNC",
    parameter CSDECODE_A = "0b000", parameter CSDECODE_B = "0b000",
    parameter CLKAMUX = "CLKA", parameter CLKBMUX = "CLKB",
    parameter WRITEMODE_A = "NORMAL", parameter WRITEMODE_B = "NORMAL",
    parameter GSR = "AUTO"
) (
    input CLKA, CEA, OCEA, WEA, RSTA, CSA0, CSA1, CSA2,
    input CLKB, CEB, OCEB, WEB, RSTB, CSB0, CSB1, CSB2,
    input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3,
        DIA2, DIA1, DIA0,
    input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3,
        DIB2, DIB1, DIB0,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3,
        DOA2, DOA1, DOA0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3,
        DOB2, DOB1, DOB0
);
    wire [13:0] at_a = {
        ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
    wire [13:0] at_b = {
        ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
    wire [35:0] DI = {
        DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3,
        DIB2, DIB1, DIB0, DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6,
        DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};

    reg [8:0] memory [0:2047];
    localparam [20479:0] CONTENTS = {
        INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39, INITVAL_38,
        INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30,
        INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28,
        INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24, INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20,
        INITVAL_1F, INITVAL_1E, INITVAL_1D, INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18,
        INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10,
        INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
        INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01, INITVAL_00};
    integer k;
    initial for (k = 0; k < 1024; k = k + 1) {memory[2 * k + 1], memory[2 * k]} = CONTENTS[20 * k +: 18];

    // A port of fewer bits than 36 finds its own in the lowest.
    function [35:0] word(input integer width, input [13:0] at);
        case (width)
            36: word = {memory[{at[13:5], 2'd3}], memory[{at[13:5], 2'd2}],
                        memory[{at[13:5], 2'd1}], memory[{at[13:5], 2'd0}]};
            18: word = {18'd0, memory[{at[13:4], 1'd1}], memory[{at[13:4], 1'd0}]};
            9: word = {27'd0, memory[at[13:3]]};
            4: word = {32'd0, memory[at[13:3]][{at[2], 2'd0} +: 4]};
            2: word = {34'd0, memory[at[13:3]][{at[2:1], 1'd0} +: 2]};
            default: word = {35'd0, memory[at[13:3]][at[2:0]]};
        endcase
    endfunction

    // The lowest bits of an address enable the nines of a wide write.
    task write(input integer width, input [13:0] at, input [35:0] data);
        case (width)
            36: begin
                if (at[0]) memory[{at[13:5], 2'd0}] <= data[8:0];
                if (at[1]) memory[{at[13:5], 2'd1}] <= data[17:9];
                if (at[2]) memory[{at[13:5], 2'd2}] <= data[26:18];
                if (at[3]) memory[{at[13:5], 2'd3}] <= data[35:27];
            end
            18: begin
                if (at[0]) memory[{at[13:4], 1'd0}] <= data[8:0];
                if (at[1]) memory[{at[13:4], 1'd1}] <= data[17:9];
            end
            9: memory[at[13:3]] <= data[8:0];
            4: memory[at[13:3]][{at[2], 2'd0} +: 4] <= data[3:0];
            2: memory[at[13:3]][{at[2:1], 1'd0} +: 2] <= data[1:0];
            default: memory[at[13:3]][at[2:0]] <= data[0];
        endcase
    endtask

    reg [35:0] fetched_a = 0, fetched_b = 0, sent_a = 0, sent_b = 0;
    always @(posedge CLKA) begin
        if (RSTA) fetched_a <= 0; else if (CEA && !WEA) fetched_a <= word(DATA_WIDTH_A, at_a);
        if (RSTA) sent_a <= 0; else if (OCEA) sent_a <= fetched_a;
        if (CEA && WEA) write(DATA_WIDTH_A, at_a, DI);
    end
    always @(posedge CLKB) begin
        if (RSTB) fetched_b <= 0; else if (CEB && !WEB) fetched_b <= word(DATA_WIDTH_B, at_b);
        if (RSTB) sent_b <= 0; else if (OCEB) sent_b <= fetched_b;
        if (CEB && WEB) write(DATA_WIDTH_B, at_b, {18'd0, DI[35:18]});
    end
    wire [35:0] a = REGMODE_A == "OUTREG" ? sent_a : fetched_a;
    wire [35:0] b = REGMODE_B == "OUTREG" ? sent_b : fetched_b;
    // 36 bits wide, reading is port B's and fills the outputs of both.
    assign {
        DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3,
        DOA2, DOA1, DOA0} = DATA_WIDTH_B == 36 ? b[17:0] : a[17:0];
    assign {
        DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3,
        DOB2, DOB1, DOB0} = DATA_WIDTH_B == 36 ? b[35:18] : b[17:0];
endmodule

// 18 by 18 bits, with registers for the operands, no others.
module MULT18X18D #(
    parameter REG_INPUTA_CLK = "NONE", parameter REG_INPUTA_CE = "CE0", parameter REG_INPUTA_RST = "RST0",
    parameter REG_INPUTB_CLK = "NONE", parameter REG_INPUTB_CE = "CE0", parameter REG_INPUTB_RST = "RST0",
    parameter RESETMODE = "SYNC"
) (
    input CLK0, CE0, CE1, CE2, CE3, RST0, SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
    input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
    input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
    output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17,
        P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
    wire [17:0] a_in = {
        A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
    wire [17:0] b_in = {
        B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
    wire [3:0] enables = {CE3, CE2, CE1, CE0};
    function enabled(input [8 * 3 - 1:0] name, input [3:0] all);
        enabled = all[name[1:0]];  // the last character of CE0 to CE3 ends in its number
    endfunction

    reg [17:0] a_kept = 0, b_kept = 0;
    wire [17:0] a = REG_INPUTA_CLK == "NONE" ? a_in : a_kept;
    wire [17:0] b = REG_INPUTB_CLK == "NONE" ? b_in : b_kept;
    wire signed [18:0] a_wide = {SIGNEDA & a[17], a};
    wire signed [18:0] b_wide = {SIGNEDB & b[17], b};
    wire signed [37:0] product = a_wide * b_wide;
    always @(posedge CLK0) begin
        if (enabled(REG_INPUTA_CE, enables)) a_kept <= a_in;
        if (enabled(REG_INPUTB_CE, enables)) b_kept <= b_in;
    end
    assign {
        P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16,
        P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = product[35:0];
endmodule
