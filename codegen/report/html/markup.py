"""Elements and numbers of a page as text; what is not markup already is escaped."""

from collections.abc import Sequence
from html import escape

__all__ = ["Markup", "classes", "element", "exact", "percent", "shape", "whole"]

NOTHING = "–"
"""Stands where nobody measured."""

_VOID = ("meta",)


class Markup(str):
    """Text that is markup and stays as it is."""


def element(tag: str, *children: str, **attributes: str | int | None) -> Markup:
    """An element. In the names of attributes ``_`` stands for ``-``, at their end for nothing; those that are
    ``None`` are left out."""
    names = {name.removesuffix("_").replace("_", "-"): value for name, value in attributes.items()}
    given = "".join(f' {name}="{escape(str(value))}"' for name, value in names.items() if value is not None)
    inner = "".join(child if isinstance(child, Markup) else escape(child) for child in children)
    return Markup(f"<{tag}{given}>" if tag in _VOID else f"<{tag}{given}>{inner}</{tag}>")


def classes(**names: bool) -> str | None:
    """The names that hold, as an attribute; ``None`` for none."""
    return " ".join(name for name, holds in names.items() if holds) or None


def whole(number: float | None) -> str:
    """A number as it is, with its thousands apart."""
    return NOTHING if number is None else f"{number:,}".replace("-", "−")


def exact(share: float | None) -> str:
    """A share from 0 to 1 with three digits."""
    return NOTHING if share is None else f"{share:.3f}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share in percent; the space does not break."""
    return NOTHING if share is None else f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def shape(sizes: Sequence[int]) -> str:
    """Rows, columns, channels."""
    return "×".join(map(str, sizes))
