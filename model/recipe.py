"""Recipes: everything a training run may vary, as a frozen value read from TOML and checked key by key."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from codegen.errors import UserError, did_you_mean, shown
from codegen.files import Range, decoded, encoded, parse_toml, read_toml


class Architecture(enum.Enum):
    """The networks that can be trained (`model.networks.topology` builds them)."""

    DIGITS = "digits"
    LENET = "lenet"
    VGG_SMALL = "vgg_small"
    ALEXNET = "alexnet"
    RESNET18 = "resnet18"


class Source(enum.Enum):
    """Where images come from (`model.data.read` reads them)."""

    DIGITS = "digits"
    CIFAR10 = "cifar10"
    IMAGES = "images"


class Scale(enum.Enum):
    """What one integer (alpha, beta) of the student serves: a whole layer, or one output channel."""

    LAYER = "layer"
    CHANNEL = "channel"


class Start(enum.Enum):
    """What a student's layer starts from: the teacher's weights with a scale by least squares, the same
    weights with a scale that only spreads the sums over the codes, or random weights with such a scale."""

    LEAST_SQUARES = "least_squares"
    SPREAD = "spread"
    RANDOM = "random"


class Method(enum.Enum):
    """How the student learns: layer after layer, all layers at once each from its own target, or as a whole
    from the labels alone."""

    PROGRESSIVE = "progressive"
    TOGETHER = "together"
    END_TO_END = "end_to_end"


class Target(enum.Enum):
    """What the student imitates: the teacher's clipped activations before or after their quantiser."""

    CLIPPED = "clipped"
    QUANTISED = "quantised"


class Feed(enum.Enum):
    """What feeds the layer that learns: the student's own frozen layers, or the teacher's."""

    STUDENT = "student"
    TEACHER = "teacher"


Width = Annotated[int, Range(1, 8)]
Epochs = Annotated[int, Range(0, 10_000)]


@dataclass(frozen=True)
class Network:
    """An architecture; `width` multiplies its channels but for image and classes, `size` is the side of its
    images in pixels (left out: what the architecture was made for)."""

    name: Architecture
    classes: Annotated[int, Range(2, 65_536)] = 10
    width: Annotated[float, Range(1 / 64, 4)] = 1.0
    size: Annotated[int, Range(4, 1024)] | None = None


@dataclass(frozen=True)
class LayerBits:
    """Widths in bits of one layer; left out: what the network has."""

    weights: Width | None = None
    activations: Width | None = None


@dataclass(frozen=True)
class Bits:
    """Widths in bits: weights, weights of the first and last layer, activations, image codes.

    `layers` gives some layers, by name, widths of their own.
    """

    weights: Width
    edge_weights: Width
    activations: Width
    input: Width = 8
    layers: dict[str, LayerBits] = field(default_factory=dict)


@dataclass(frozen=True)
class Data:
    """Images, those kept aside from training to watch (`validation`), and random changes of the others.

    Pictures are scaled to `side` pixels (left out: the network's size) and then cut to the network's
    size: in training anywhere, up to `crop` pixels over the edge, else in the middle. `shift` is in pixels,
    `rotate` in degrees, `zoom` a share: each image is moved, turned and scaled by random amounts up to these,
    either way; `flip` mirrors half of them, left to right.
    """

    source: Source
    validation: Annotated[int, Range(1, 1_000_000)]
    side: Annotated[int, Range(4, 1024)] | None = None
    crop: Annotated[int, Range(0, 64)] = 0
    flip: bool = False
    shift: Annotated[float, Range(0, 8)] = 0.0
    rotate: Annotated[float, Range(0, 45)] = 0.0
    zoom: Annotated[float, Range(0, 0.5)] = 0.0


@dataclass(frozen=True)
class Schedule:
    """Adam for `epochs` passes over the images in batches, the learning rate falling to zero as a cosine."""

    epochs: Epochs
    batch: Annotated[int, Range(2, 65_536)]
    learning_rate: Annotated[float, Range(1e-7, 1)]


@dataclass(frozen=True)
class Teacher:
    """The DoReFa teacher: first `float_epochs` without quantisers, then `schedule.epochs` with them."""

    float_epochs: Epochs
    schedule: Schedule


@dataclass(frozen=True)
class Student:
    """The integer student: what an (alpha, beta) serves, fraction bits of alpha, and how it learns.

    `schedule` is that of each layer, or of the whole where all learn at once. `offset` = false holds beta at
    0. `suffix` is the weight of a second loss: that of the teacher's logits when its remaining layers go on
    from what the layer gives.
    """

    scale: Scale
    fraction: Annotated[int, Range(0, 24)]
    schedule: Schedule
    offset: bool = True
    start: Start = Start.LEAST_SQUARES
    method: Method = Method.PROGRESSIVE
    target: Target = Target.QUANTISED
    feed: Feed = Feed.STUDENT
    suffix: Annotated[float, Range(0, 100)] = 0.0


@dataclass(frozen=True)
class Recipe:
    """One training run but for its seed."""

    name: str
    summary: str
    network: Network
    bits: Bits
    data: Data
    teacher: Teacher
    student: Student


def shipped() -> dict[str, str]:
    """Name -> TOML text of every recipe that comes with the package, by name."""
    folder = resources.files("model") / "recipes"
    texts = {entry.name: entry.read_text("utf-8") for entry in folder.iterdir()}
    return {name.removesuffix(".toml"): texts[name] for name in sorted(texts) if name.endswith(".toml")}


def load(name: str) -> Recipe:
    """The shipped recipe called `name`, or, where `name` ends in .toml, the one in that file.

    Raises UserError for an unknown recipe, an unreadable file, and every key that is missing, unknown, of the
    wrong type or out of range.
    """
    if name.endswith(".toml"):
        path = Path(name)
        return _recipe(path.stem, read_toml(path, "recipe"))
    known = shipped()
    if name not in known:
        raise UserError(
            f"recipe must be one of {', '.join(known)} or a file ending in .toml, not {shown(name)}"
            + did_you_mean(name, known)
        )
    return parse(name, known[name])


def parse(name: str, text: str) -> Recipe:
    """The recipe `name` written in TOML as `text`; raises UserError as `load` does."""
    return _recipe(name, parse_toml(text, f"recipe '{name}'"))


def _recipe(name: str, table: dict[str, Any]) -> Recipe:
    if "name" in table:
        raise UserError(f"recipe '{name}': unknown key 'name'; a recipe is called as its file is")
    return decoded(Recipe, table | {"name": name}, f"recipe '{name}': ")


def canonical(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain dictionaries, strings and numbers, the same for equal recipes."""
    plain: dict[str, Any] = encoded(recipe)
    return plain
