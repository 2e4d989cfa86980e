"""What can be said to a user: the error, a value in it, the name that was perhaps meant."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

__all__ = ["UserError", "chosen", "did_you_mean", "shown"]

T = TypeVar("T")

_LONGEST_NAME = 200  # beyond that nobody mistyped anything, and to look for the nearest takes long


class UserError(Exception):
    """An error that the user can fix: subject, rule, offending value and remedy in one or two sentences.

    Command lines print the message to stderr and exit with status 2.
    """


def shown(value: Any) -> str:
    """A short text of any value for use in a message: long ones are cut, and no value makes it fail."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer too long for text, or nesting too deep, further inside
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= 80 else text[:77] + "..."


def chosen(what: str, name: str, choices: Mapping[str, T]) -> T:
    """The one of the choices with this name. Raises ``UserError`` with all names, and the nearest, for
    another."""
    if name in choices:
        return choices[name]
    raise UserError(
        f"{what} must be one of {', '.join(choices)}, not {shown(name)}{did_you_mean(name, choices)}"
    )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence: the known name that contains this one or resembles it, or nothing."""
    if not 0 < len(name) <= _LONGEST_NAME:
        return ""
    names = list(known)
    near = [one for one in names if name in one] or difflib.get_close_matches(name, names, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
