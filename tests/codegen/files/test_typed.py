"""Dataclasses as JSON and TOML: encoded and decoded again, and every other value refused by its key."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any

import pytest

from codegen.errors import UserError
from codegen.files import Range, decoded, encoded


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    bits: Annotated[int, Range(1, 8)] = 4


@dataclass(frozen=True)
class Outer:
    name: str
    share: float
    colour: Colour
    inner: Inner
    counts: list[int]
    pairs: tuple[tuple[int, int], ...]
    named: dict[str, Inner] = field(default_factory=dict)
    note: str | None = None
    on: bool = False


VALUE = Outer("x", 0.5, Colour.BLUE, Inner(3), [1, 2], ((1, 2), (3, 4)), {"a": Inner()}, None, True)


def changed(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = encoded(VALUE)
    return plain | changes


def test_what_was_encoded_is_decoded() -> None:
    assert decoded(Outer, encoded(VALUE), "") == VALUE


def test_what_has_a_default_may_be_left_out() -> None:
    plain = encoded(VALUE)
    for name in ("named", "note", "on"):
        del plain[name]
    assert decoded(Outer, plain, "") == Outer("x", 0.5, Colour.BLUE, Inner(3), [1, 2], ((1, 2), (3, 4)))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "file: it must be a table of keys, not []"),
        (None, "file: it must be a table of keys, not None"),
        (changed(naem=1), "file: unknown key 'naem'; did you mean 'name'?"),
        (changed(**{"\x1b[31m": 1}), "file: unknown key '\\x1b[31m'"),
        (changed(name=1), "file: name must be a text in quotes, not 1"),
        (changed(share="x"), "file: share must be a number, not 'x'"),
        (changed(share=10**400), "file: share must be a finite number, not an integer of 1329 bits"),
        (changed(share=float("nan")), "file: share must be a finite number, not nan"),
        (changed(on=1), "file: on must be true or false, not 1"),
        (changed(colour="rde"), "file: colour must be 'red' or 'blue', not 'rde'; did you mean 'red'?"),
        (changed(colour=[]), "file: colour must be 'red' or 'blue', not []"),
        (changed(inner=3), "file: inner must be a table of keys, not 3"),
        (changed(inner={"bits": 9}), "file: inner.bits must be a whole number from 1 to 8, not 9"),
        (changed(inner={"bits": True}), "file: inner.bits must be a whole number, not True"),
        (
            changed(inner={"bits": 10**5000}),
            "file: inner.bits must be a whole number from 1 to 8, not an int",
        ),
        (changed(counts={}), "file: counts must be a list, not {}"),
        (changed(counts=[1, None]), "file: counts[1] must be a whole number, not None"),
        (changed(pairs=[[1, 2], [3]]), "file: pairs[1] must be a list of 2, not of 1"),
        (changed(named={"a": {"bit": 1}}), "file: unknown key 'named.a.bit'; did you mean 'bits'?"),
        (changed(named=[]), "file: named must be a table of keys, not []"),
    ],
)
def test_another_value_is_refused_by_its_key(value: Any, message: str) -> None:
    with pytest.raises(UserError) as error:
        decoded(Outer, value, "file: ")
    assert str(error.value).startswith(message)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(UserError, match=r"^file: key 'name' is missing; add it$"):
        decoded(Outer, {"share": 1}, "file: ")
