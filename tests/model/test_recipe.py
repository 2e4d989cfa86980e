"""Recipes: what ships can be read, and every mistake is named with what to do."""

import re
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, is_dataclass
from pathlib import Path
from typing import get_type_hints

import pytest

from codegen.errors import UserError
from model.networks import topology
from model.recipe import (
    Architecture,
    LayerBits,
    Method,
    Recipe,
    Scale,
    Schedule,
    Target,
    canonical,
    load,
    parse,
    shipped,
)

TEXT = shipped()["digits_w4a4"]


def changed(pattern: str, new: str) -> str:
    """The shipped text with one place changed."""
    text, count = re.subn(pattern, new, TEXT, count=1, flags=re.MULTILINE)
    assert count == 1
    return text


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_recipes_can_be_read(name: str) -> None:
    recipe = load(name)
    assert recipe.name == name
    assert recipe.summary
    topology(recipe.network, recipe.bits)


def test_the_first_recipe_is_what_its_name_says() -> None:
    recipe = load("digits_w4a4")
    assert (recipe.bits.weights, recipe.bits.edge_weights, recipe.bits.activations, recipe.bits.input) == (
        4,
        8,
        4,
        4,
    )
    assert recipe.student.scale is Scale.CHANNEL
    assert recipe.student.target is Target.QUANTISED
    assert load("digits_w4a4_layer").student.scale is Scale.LAYER


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        load("digits_w4a4").name = "other"  # type: ignore[misc]


def test_your_own_file_is_a_recipe_with_the_files_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(changed(r"fraction = 8", "fraction = 3"))
    recipe = load(str(path))
    assert (recipe.name, recipe.student.fraction) == ("mine", 3)


def test_whole_numbers_are_accepted_where_numbers_are() -> None:
    recipe = parse("mine", changed(r"^shift = 0.7", "shift = 1"))
    assert recipe.data.shift == 1
    assert type(recipe.data.shift) is float


def test_equal_recipes_have_equal_plain_forms() -> None:
    assert canonical(load("digits_w4a4")) == canonical(parse("digits_w4a4", TEXT + "\n# a remark\n"))
    assert canonical(load("digits_w4a4"))["student"]["scale"] == "channel"


@pytest.mark.parametrize(
    ("pattern", "new", "message"),
    [
        (r"^rotate = 10", "rotat = 10", "unknown key 'data.rotat'; did you mean 'rotate'?"),
        (r"^summary = ", "zzz = ", "unknown key 'zzz'"),
        (r"^validation = .*$", "", "key 'data.validation' is missing; add it"),
        (r"^weights = 4", "weights = 4.5", "bits.weights must be a whole number, not 4.5"),
        (r"^weights = 4", "weights = true", "bits.weights must be a whole number, not True"),
        (r"^weights = 4", "weights = 9", "bits.weights must be a whole number from 1 to 8, not 9"),
        (r"^zoom = 0.1", 'zoom = "big"', "data.zoom must be a number, not 'big'"),
        (r"^zoom = 0.1", "zoom = nan", "data.zoom must be a number from 0 to 0.5, not nan"),
        (r"^fraction = 8", "fraction = -1", "student.fraction must be a whole number from 0 to 24, not -1"),
        (r"learning_rate = 0.03", "learning_rate = 0", "must be a number from 1e-07 to 1, not 0"),
        (
            r'^scale = "channel"',
            'scale = "chanel"',
            "student.scale must be 'layer' or 'channel', not 'chanel'; did you mean 'channel'?",
        ),
        (r'^target = "quantised"', "target = 3", "student.target must be 'clipped' or 'quantised', not 3"),
        (
            r'^name = "digits"',
            'name = "vgg"',
            "network.name must be 'digits', 'lenet', 'vgg_small', 'alexnet' or 'resnet18', not 'vgg'; "
            "did you mean 'vgg_small'?",
        ),
        (r'^name = "digits"', 'name = "digits"\nsize = 2', "network.size must be a whole number from 4 to"),
        (r'^source = "digits"', 'source = "digits"\nflip = 1', "data.flip must be true or false, not 1"),
        (r"^input = 4", "input = 4\nlayers = 3", "bits.layers must be a table of keys, not 3"),
        (r"^input = 4", "input = 4\nlayers.fc.weight = 3", "'bits.layers.fc.weight'; did you mean 'weig"),
        (r'^summary = .*$', "summary = 1", "summary must be a text in quotes, not 1"),
        (r"^schedule = .*$", "schedule = 5", "teacher.schedule must be a table of keys, not 5"),
        (r"^summary = ", "summary ", "must be TOML, but: Expected '=' after a key"),
        (r"^summary = ", 'name = "x"\nsummary = ', "unknown key 'name'; a recipe is called as its file is"),
    ],
)  # fmt: skip
def test_every_mistake_is_named(pattern: str, new: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse("mine", changed(pattern, new))
    assert str(error.value).startswith("recipe 'mine'")
    assert message in str(error.value)


def test_an_unknown_recipe_gets_the_nearest_name() -> None:
    with pytest.raises(UserError) as error:
        load("digit_w4a4")
    assert str(error.value).startswith("recipe must be one of ")
    assert str(error.value).endswith("a file ending in .toml, not 'digit_w4a4'; did you mean 'digits_w4a4'?")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        UserError,
        match=r"^recipe '.*none.toml' must be a file that can be read, but: No such file or directory$",
    ):
        load(str(tmp_path / "none.toml"))
    (tmp_path / "latin.toml").write_bytes(b"summary = '\xe9'")
    with pytest.raises(UserError, match=r"^recipe '.*latin.toml' must be UTF-8 text, but: .* can't decode"):
        load(str(tmp_path / "latin.toml"))


def test_the_parsed_recipe_is_typed() -> None:
    assert isinstance(load("digits_w1a1"), Recipe)


def test_what_is_left_out_has_a_default() -> None:
    recipe = parse("mine", changed(r"^zoom = .*$", ""))
    assert recipe.data.zoom == 0
    assert recipe.student.method is Method.PROGRESSIVE
    assert recipe.network.name is Architecture.DIGITS
    assert recipe.network.size is None


def test_layers_may_have_widths_of_their_own() -> None:
    recipe = parse("mine", changed(r"^input = 4", "input = 4\nlayers.conv2 = { weights = 2 }"))
    assert recipe.bits.layers == {"conv2": LayerBits(weights=2)}
    assert topology(recipe.network, recipe.bits).layers[1].weight_bits == 2
    assert canonical(recipe)["bits"]["layers"] == {"conv2": {"weights": 2, "activations": None}}


def keys(kind: type, prefix: str = "") -> Iterator[str]:
    """The names of all keys of a recipe, as a user writes them."""
    for name, hint in get_type_hints(kind).items():
        if is_dataclass(hint) and prefix.count(".") < 1 and hint is not Schedule:
            yield from keys(hint, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def test_every_key_is_explained() -> None:
    text = (Path(__file__).parents[2] / "docs/training.md").read_text()
    missing = [key for key in keys(Recipe) if f"`{key}" not in text and key not in ("name", "summary")]
    assert missing == []
