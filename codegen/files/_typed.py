"""Typed data at the edges: dataclasses to JSON and TOML and back, every field checked by its type.

A field is a whole number, a number, a text, true or false, a choice (an ``Enum``), another dataclass, a list
or tuple, a table of one type, or one of these or nothing; ``Annotated[int, Range(1, 8)]`` bounds a number.
"""

import enum
import functools
import math
import types
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from codegen.errors import UserError, did_you_mean, shown

__all__ = ["Range", "decoded", "encoded"]

T = TypeVar("T")

_DEEPEST = 32  # of tables in tables: no type of ours is half as deep


@dataclass(frozen=True)
class Range:
    """Inclusive bounds of a number."""

    low: float
    high: float


def encoded(value: Any) -> Any:
    """A dataclass as dictionaries, lists, texts and numbers, the same for equal values."""
    if is_dataclass(value):
        return {field.name: encoded(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {name: encoded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [encoded(one) for one in value]
    return value.value if isinstance(value, enum.Enum) else value


def decoded(kind: type[T], value: Any, where: str) -> T:
    """The dataclass ``kind`` that ``encoded`` made ``value`` of, or that a user wrote; ``where`` begins every
    message.

    Raises ``UserError``, naming the key, for one that is missing, unknown, of another type or out of range,
    and what the dataclass itself raises.
    """
    found: T = _table(kind, value, where, "", _DEEPEST)
    return found


def _table(kind: Any, value: Any, where: str, prefix: str, depth: int) -> Any:
    if not isinstance(value, dict):
        raise UserError(f"{where}{prefix.rstrip('.') or 'it'} must be a table of keys, not {shown(value)}")
    hints, needed = _fields(kind)
    for key in value:
        if key not in hints:
            raise UserError(f"{where}unknown key '{prefix}{_short(key)}'{did_you_mean(key, hints)}")
    for key in needed:
        if key not in value:
            raise UserError(f"{where}key '{prefix}{key}' is missing; add it")
    read = {key: _value(hints[key], one, where, prefix + key, depth - 1) for key, one in value.items()}
    return kind(**read)


@functools.cache
def _fields(kind: Any) -> tuple[dict[str, Any], list[str]]:
    """The types of all fields, and which have no default."""
    hints = get_type_hints(kind, include_extras=True)
    own = [field for field in fields(kind) if field.init]
    return {field.name: hints[field.name] for field in own}, [one.name for one in own if _is_needed(one)]


def _is_needed(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _value(hint: Any, value: Any, where: str, key: str, depth: int) -> Any:
    if depth == 0:
        raise UserError(f"{where}{key} must be less deep")
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        return _alternative(arguments, value, where, key, depth)
    if origin is Annotated:
        return _number(arguments[0], value, where, key, arguments[1])
    if origin is dict:
        return _mapping(arguments[1], value, where, key, depth)
    if origin in (list, tuple):
        return _sequence(hint, value, where, key, depth)
    if is_dataclass(hint):
        return _table(hint, value, where, f"{key}.", depth)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _choice(hint, value, where, key)
    if hint in (int, float):
        return _number(hint, value, where, key, None)
    if type(value) is not hint:
        expected = {bool: "true or false", str: "a text in quotes"}[hint]
        raise UserError(f"{where}{key} must be {expected}, not {shown(value)}")
    return value


def _alternative(hints: tuple[Any, ...], value: Any, where: str, key: str, depth: int) -> Any:
    """A type or nothing; or a number, which stays whole if it is."""
    if value is None and types.NoneType in hints:
        return None
    if int in hints and type(value) is int:
        return value
    *_, hint = (one for one in hints if one is not types.NoneType)
    return _value(hint, value, where, key, depth)


def _mapping(hint: Any, value: Any, where: str, key: str, depth: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where}{key} must be a table of keys, not {shown(value)}")
    return {name: _value(hint, one, where, f"{key}.{_short(name)}", depth - 1) for name, one in value.items()}


def _short(name: str) -> str:
    """A key that can stand in a message as it is, or else what is shown of it, without quotes."""
    return name if name.isprintable() and len(name) <= 80 else shown(name)[1:-1]


def _sequence(hint: Any, value: Any, where: str, key: str, depth: int) -> Any:
    """A list, a tuple of any length, or a tuple of a fixed one."""
    if not isinstance(value, list):
        raise UserError(f"{where}{key} must be a list, not {shown(value)}")
    kind, hints = get_origin(hint), get_args(hint)
    if kind is list or hints[-1] is Ellipsis:
        hints = (hints[0],) * len(value)
    if len(hints) != len(value):
        raise UserError(f"{where}{key} must be a list of {len(hints)}, not of {len(value)}")
    pairs = enumerate(zip(hints, value, strict=True))
    return kind(_value(one, item, where, f"{key}[{k}]", depth - 1) for k, (one, item) in pairs)


def _choice(kind: type[enum.Enum], value: Any, where: str, key: str) -> enum.Enum:
    choices = [str(member.value) for member in kind]
    if value not in choices:
        allowed = ", ".join(f"'{choice}'" for choice in choices[:-1]) + f" or '{choices[-1]}'"
        hint = did_you_mean(value, choices) if isinstance(value, str) else ""
        raise UserError(f"{where}{key} must be {allowed}, not {shown(value)}{hint}")
    return kind(value)


def _number(kind: type[Any], value: Any, where: str, key: str, bounds: Range | None) -> int | float:
    accepted = (int,) if kind is int else (int, float)
    word = "a whole number" if kind is int else "a number"
    if type(value) not in accepted:
        raise UserError(f"{where}{key} must be {word}, not {shown(value)}")
    if bounds is not None and not bounds.low <= value <= bounds.high:
        limits = f"from {bounds.low:g} to {bounds.high:g}"
        raise UserError(f"{where}{key} must be {word} {limits}, not {shown(value)}")
    return int(value) if kind is int else _float(value, where, key)


def _float(value: int | float, where: str, key: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise UserError(f"{where}{key} must be a finite number, not {shown(value)}")
    return number
