"""Which source a recipe names, which layout it lies in, and what to say where it is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from codegen.ir import UserError
from model import recipe as recipes
from model.data import cifar
from model.data import digits as small
from model.data.folder import Listing, cached, has_layout, listings
from model.data.images import SPLIT_SEED, Dataset, Part, set_aside, whole
from model.recipe import Source

_EXPECTED = {
    Source.CIFAR10: """\
CIFAR-10 must be a folder, named by --data, in one of these layouts:
  data_batch_1 .. data_batch_5, test_batch            its authors' python version, unpacked
  data_batch_1.bin .. data_batch_5.bin, test_batch.bin their binary version, unpacked
  train/<class>/*.png|jpg, test/<class>/*.png|jpg      pictures, ten classes
Its authors' home page is https://www.cs.toronto.edu/~kriz/cifar.html; nothing is downloaded for you. """,
    Source.IMAGES: """\
pictures must be a folder, named by --data, with this layout:
  train/<class>/*.png|jpg|jpeg
  val/<class>/*.png|jpg|jpeg     or test/ instead of val/
ImageNet comes in this form from https://image-net.org after registration; nothing is downloaded for you. """,
}


def read(data: recipes.Data, side: int, channels: int, classes: int, folder: Path | None) -> Dataset:
    """The data set of a recipe as pixels (N, side, side, channels), `data.validation` of them set aside.

    Raises UserError for a missing or broken folder, other than `classes` classes, and too large a validation.
    """
    if data.source is Source.DIGITS:
        names, rest, test = _digits(side, channels, folder)
    else:
        names, rest, test = _found(data.source, side, channels, folder)
    if len(names) != classes:
        raise UserError(
            f"network.classes must be {len(names)}, the classes of the images, not {classes}; change the recipe"
        )
    train, watched = set_aside(rest, data.validation, "data.validation")
    text = (
        f"{data.source.value}, {side}x{side}, {len(train)} training, {len(watched)} validation, "
        f"{len(test)} test, stratified, split seed {SPLIT_SEED}"
    )
    return Dataset(text, names, train, watched, test)


def fingerprint(data: recipes.Data, side: int, folder: Path | None) -> str:
    """Another text whenever `read` would give other images; decodes none. Raises UserError as `read` does."""
    if data.source is Source.DIGITS:
        return f"{small.digits_fingerprint(folder)} {side}"
    place, layout = _layout(data.source, folder)
    if layout:
        return _file_times(place / name for name in layout)
    return " ".join(part.fingerprint() for part in listings(place)) + f" {side}"


def _digits(side: int, channels: int, folder: Path | None) -> tuple[tuple[str, ...], Part, Part]:
    if channels != 1:
        raise UserError(f"the digits must go to a network for grey images, not for {channels} channels")
    rest, test = set_aside(whole(small.digits(folder, side)), small.HELD_OUT, "held-out digits")
    return tuple("0123456789"), rest, test


def _found(
    source: Source, side: int, channels: int, folder: Path | None
) -> tuple[tuple[str, ...], Part, Part]:
    """Classes, training and held-out images, from whatever layout there is."""
    place, layout = _layout(source, folder)
    if layout:
        if (side, channels) != (32, 3):
            raise UserError(f"CIFAR-10 must go to a network for 32x32x3 images, not {side}x{side}x{channels}")
        train, test = (cifar.read_python if layout is cifar.PYTHON else cifar.read_binary)(place)
        return cifar.CLASSES, whole(train), whole(test)
    parts: tuple[Listing, ...] = listings(place)
    images = [whole(cached(part, side, channels, part.fingerprint())) for part in parts]
    return parts[0].classes, images[0], images[1]


def _layout(source: Source, folder: Path | None) -> tuple[Path, tuple[str, ...]]:
    """Where the images lie and the files they are in, none for folders of pictures; raises UserError."""
    if folder is None:
        raise UserError(_EXPECTED[source] + "--data was not given.")
    for place in _places(folder):
        if source is Source.CIFAR10:
            for layout in (cifar.PYTHON, cifar.BINARY):
                if all((place / name).is_file() for name in layout):
                    return place, layout
        if has_layout(place):
            return place, ()
    raise UserError(_EXPECTED[source] + f"'{folder}' has none of it.")


def _places(folder: Path) -> Iterable[Path]:
    """The folder, and those in it, since archives bring one of their own."""
    yield folder
    if folder.is_dir():
        yield from sorted(entry for entry in folder.iterdir() if entry.is_dir())


def _file_times(paths: Iterable[Path]) -> str:
    status = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return hashlib.sha256(repr(status).encode()).hexdigest()
