"""Bit flips in the memories of the weights, and what they cost."""
