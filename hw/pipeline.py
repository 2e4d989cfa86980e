"""Registers in a row: what the stages of a datapath that never stops are made of.

Data registers have no reset and move only with the valid of their stage, so that nothing toggles in a pause
and synthesis may use the registers inside multipliers and block RAMs.
"""

from collections.abc import Callable, Sequence

from amaranth.hdl import Const, Module, Shape, Signal, Value

__all__ = ["later", "tree", "tree_levels", "valids"]


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


def tree(
    m: Module,
    enables: Sequence[Value],
    terms: Sequence[Value],
    join: Callable[[Value, Value], Value],
    shape: Shape | None = None,
) -> Value:
    """``terms`` joined two and two, one of ``enables`` a level. ``shape``: of the result, where it is
    known to be narrower than what ``join`` gives."""
    level = list(terms)
    for enable in enables:
        pairs = [level[k : k + 2] for k in range(0, len(level), 2)]
        joined = [join(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
        level = [later(m, [enable], one, shape if len(joined) == 1 else None) for one in joined]
    return level[0]
