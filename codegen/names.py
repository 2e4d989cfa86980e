"""What to say to a name that is not known."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

from codegen.ir import UserError

__all__ = ["chosen", "did_you_mean"]

T = TypeVar("T")


def chosen(what: str, name: str, choices: Mapping[str, T]) -> T:
    """The one of the choices with this name. Raises ``UserError`` with all names, and the nearest, for
    another."""
    if name in choices:
        return choices[name]
    raise UserError(f"{what} must be one of {', '.join(choices)}, not '{name}'{did_you_mean(name, choices)}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence: the known name that holds this one or is like it, or nothing."""
    names = list(known)
    near = [one for one in names if name and name in one] or difflib.get_close_matches(name, names, n=1)
    return f"; did you mean '{near[0]}'" if near else ""
