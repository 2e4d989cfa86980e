"""What can be said to a user, and the check that most often says it."""

from typing import Any


class UserError(Exception):
    """A mistake that the user can mend: subject, rule, offending value and remedy in one or two sentences.

    Command lines print the message to stderr and exit with status 2.
    """


class IrError(UserError):
    """An operation, a network, its input or its file breaks a rule of docs/ir.md."""


def whole(value: Any, what: str, low: int, high: int) -> int:
    """Return `value` if it is a Python int in low..high (inclusive); raise IrError, naming `what`, if not."""
    if type(value) is not int:  # to Python a bool is an int, but it is never a count
        raise IrError(f"{what} must be an int, not {shown(value)} of type {type(value).__name__}")
    if not low <= value <= high:
        raise IrError(f"{what} must be in {low}..{high}, not {shown(value)}")
    return value


def shown(value: Any) -> str:
    """A short text of any value for use in a message: long ones are cut, and no value makes it fail."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer too long for text, or nesting too deep, further inside
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= 80 else text[:77] + "..."
