"""Registers in a row: what the stages of a datapath that never stops are made of.

Data registers have no reset and move only with the valid of their stage, so that nothing toggles in a pause
and synthesis may use the registers inside multipliers and block RAMs.
"""

from collections.abc import Sequence

from amaranth.hdl import Const, Module, Shape, Signal, Value

__all__ = ["later", "tree_levels", "valids"]


def valids(m: Module, valid: Value, cycles: int) -> list[Value]:
    """``valid`` in this cycle and in each of so many later ones."""
    stages = [valid]
    for k in range(cycles):
        stages.append(Signal(name=f"valid_{k + 1}"))
        m.d.sync += stages[-1].eq(stages[-2])
    return stages


def later(m: Module, enables: Sequence[Value], value: Value, shape: Shape | None = None) -> Value:
    """``value`` behind one register for each of ``enables``, which lets it pass; a constant needs none."""
    if isinstance(value, Const):
        return value
    for k, enable in enumerate(enables):
        register = Signal(shape or value.shape(), reset_less=True, name=f"stage_{k + 1}")
        with m.If(enable):
            m.d.sync += register.eq(value)
        value = register
    return value


def tree_levels(terms: int) -> int:
    """Levels of a tree that joins two and two of so many terms."""
    return (terms - 1).bit_length()
