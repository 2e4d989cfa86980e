"""The error of this package, and the check that most often raises it."""

from typing import Any

from codegen.errors import UserError, shown


class IrError(UserError):
    """An operation, a network, its input or its file breaks a rule of docs/ir.md."""


def whole(value: Any, what: str, low: int, high: int) -> int:
    """Return `value` if it is a Python int in low..high (inclusive); raise IrError, naming `what`, if not."""
    if type(value) is not int:  # to Python a bool is an int, but it is never a count
        raise IrError(f"{what} must be an int, not {shown(value)} of type {type(value).__name__}")
    if not low <= value <= high:
        raise IrError(f"{what} must be in {low}..{high}, not {shown(value)}")
    return value
