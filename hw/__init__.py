"""Amaranth components that know no network: streams, arithmetic, memories, layer engines."""
