"""A recipe that trains in a second or two, and its outcome, trained once for all tests."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from model.journal import Journal
from model.recipe import Recipe, load
from model.run import Outcome, Settings, train


@pytest.fixture
def journal() -> Journal:
    return quiet()


def quiet() -> Journal:
    return Journal(Console(file=io.StringIO()))


@pytest.fixture(scope="session")
def short() -> Recipe:
    """digits_w4a4 with a few epochs of each stage."""
    recipe = load("digits_w4a4")
    teacher = replace(recipe.teacher, float_epochs=1, schedule=replace(recipe.teacher.schedule, epochs=4))
    student = replace(recipe.student, schedule=replace(recipe.student.schedule, epochs=1))
    return replace(recipe, teacher=teacher, student=student)


@pytest.fixture(scope="session")
def outcome(short: Recipe) -> Outcome:
    result = train(short, 0, None, quiet(), Settings())
    assert result is not None
    return result
