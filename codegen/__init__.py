"""From an integer network to a bitstream: representation, passes, plan, lowering and command line."""
