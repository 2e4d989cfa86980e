"""From an accelerator to a file that an FPGA loads: devices, boards, synthesis, place and route."""
