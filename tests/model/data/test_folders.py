"""Pictures in folders: what becomes of each, and what is refused."""

import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codegen.errors import UserError
from model.data import fingerprint, read
from tests.model.data.pictures import IMAGES, SIDE, held_out, noise, pictures


def put(root: Path, picture: Image.Image, ending: str = "png") -> None:
    """Another picture instead of that."""
    (root / "test/cat/09.png").unlink()
    picture.save(root / f"test/cat/picture.{ending}")


def test_every_picture_is_in_its_part_with_its_class(tree: Path) -> None:
    dataset = pictures(tree)
    assert dataset.classes == ("cat", "dog", "eel")
    assert dataset.description == (
        "data from PNG pictures, 6x6, 6 training, 3 validation, 4 test, stratified, split seed 0"
    )
    assert np.array_equal(dataset.test.images, [noise(seed) for seed in (9, 10, 11, 12)])
    assert dataset.test.labels.tolist() == [0, 1, 1, 2]
    expected = {noise(seed).tobytes(): label for seed, label in enumerate([0] * 4 + [1] * 3 + [2] * 2)}
    training = [*zip(dataset.train.images, dataset.train.labels, strict=True)]
    training += zip(dataset.validation.images, dataset.validation.labels, strict=True)
    assert {image.tobytes(): label for image, label in training} == expected
    assert dataset.validation.labels.tolist() == [0, 1, 2]


def test_images_are_mapped_into_memory_and_cannot_be_changed(tree: Path) -> None:
    dataset = pictures(tree)
    for part in (dataset.train, dataset.validation, dataset.test):
        assert isinstance(part.images, np.memmap) and not part.images.flags.writeable
        assert (part.images.dtype, part.labels.dtype) == (np.uint8, np.int64)


@pytest.mark.parametrize(("height", "width", "top", "left"), [(6, 11, 0, 2), (9, 6, 1, 0), (6, 6, 0, 0)])
def test_pixels_stay_where_the_short_side_fits(
    tree: Path, height: int, width: int, top: int, left: int
) -> None:
    put(tree, Image.fromarray(noise(77, height, width)))
    assert np.array_equal(held_out(tree), noise(77, height, width)[top : top + 6, left : left + 6])


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("side", [10, 30, 45])
def test_of_another_size_the_middle_square_is_scaled(tree: Path, side: int, turned: bool) -> None:
    stripes = np.zeros((20, 60, 3), np.uint8)
    stripes[:, :20, 0] = stripes[:, 20:40, 1] = stripes[:, 40:, 2] = 255
    put(tree, Image.fromarray(stripes.transpose(1, 0, 2) if turned else stripes))
    seen = held_out(tree, side).transpose(1, 0, 2) if turned else held_out(tree, side)
    assert seen.shape == (side, side, 3)
    assert (seen[:, 4:-4] == [0, 255, 0]).all()
    assert (seen[:, 0, 1] > 128).all() and (seen[:, -1, 1] > 128).all()
    assert np.array_equal(seen[:, ::-1, ::-1], seen)


def test_a_picture_is_scaled_as_a_whole_and_then_cut(tree: Path) -> None:
    picture = Image.fromarray(noise(5, 24, 36))
    put(tree, picture)
    whole = np.asarray(picture.resize((18, 12), Image.Resampling.BICUBIC))
    assert np.array_equal(held_out(tree, 12), whole[:, 3:15])


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_mode_becomes_colour_or_grey(tree: Path, mode: str, channels: int) -> None:
    picture = Image.fromarray(noise(5)).convert(mode)
    ending = "jpg" if mode == "CMYK" else "png"
    put(tree, picture, ending)
    with Image.open(tree / f"test/cat/picture.{ending}") as saved:
        expected = np.asarray(saved.convert("RGB" if channels == 3 else "L")).reshape(6, 6, channels)
    assert np.array_equal(held_out(tree, channels=channels), expected)


def test_odd_metadata_are_no_matter(tree: Path) -> None:
    picture = Image.fromarray(noise(5)).convert("P")
    put(tree, picture)
    picture.save(tree / "test/cat/picture.png", transparency=bytes(range(100)))  # of which Pillow warns
    assert held_out(tree).shape == (6, 6, 3)


def test_endings_of_any_case_are_pictures_and_nothing_else_is(tree: Path) -> None:
    for name in ("train/cat/notes.txt", "train/cat/._00.png", "train/cat/00.gif", "README"):
        (tree / name).write_bytes(b"no picture")
    (tree / "train/.hidden").mkdir()
    Image.fromarray(noise(5)).save(tree / "test/eel/A.JPEG", "JPEG")
    Image.fromarray(noise(6)).save(tree / "test/eel/B.Jpg", "JPEG")
    dataset = pictures(tree)
    assert dataset.test.labels.tolist() == [0, 1, 1, 2, 2, 2]
    assert dataset.description.startswith("data from JPEG and PNG pictures, 6x6, 6 training")


def test_val_is_held_out_where_test_has_no_classes(tree: Path) -> None:
    (tree / "test").rename(tree / "val")
    first = pictures(tree).test.images
    (tree / "test").mkdir()
    shutil.copy(tree / "val/cat/09.png", tree / "test/unlabelled.png")
    assert np.array_equal(pictures(tree).test.images, first)
    shutil.copytree(tree / "train", tree / "test", dirs_exist_ok=True)
    assert len(pictures(tree).test) == 9


def lose(part: str) -> Callable[[Path], None]:
    return lambda root: (root / part).unlink() if part.endswith(".png") else shutil.rmtree(root / part)


def dangle(root: Path) -> None:
    (root / "test/eel/x.png").symlink_to("nowhere")


def pipe(root: Path) -> None:
    os.mkfifo(root / "train/cat/pipe.png")


LAYOUT = (
    "^--data must be a folder with .* image-net.org after registration, and nothing is downloaded by its.*; "
)
FOLDERS = "/data/test' must have the same folders as '.*/data/train', but "


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lose("train"), LAYOUT + "'.*/data' has no train/ with a folder per class$"),
        (lose("test"), LAYOUT + "'.*/data' has no test/ or val/ with a folder per class$"),
        (lose("."), LAYOUT + "'.*/data' is no folder that can be read$"),
        (lose("test/dog"), FOLDERS + r"'dog' is in one only \(1 such\); move the pictures$"),
        (lose("train/cat"), FOLDERS + r"'cat' is in one only \(1 such\); move the pictures$"),
        (
            lose("test/eel/12.png"),
            r"/test/eel' must have pictures \(.png, .jpg, .jpeg\), but has none; add some$",
        ),
        (dangle, "/test/eel/x.png' must be readable, but: No such file or directory; mend or remove it$"),
        (pipe, "/train/cat/pipe.png' must be a file; remove it or give it another ending$"),
    ],
)
def test_a_wrong_layout_is_refused(tree: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(tree)
    for use in (lambda: pictures(tree), lambda: fingerprint(IMAGES, SIDE, tree)):
        with pytest.raises(UserError, match=message):
            use()


def test_another_number_of_classes_is_refused(tree: Path) -> None:
    message = (
        "network.classes must be 3, the number of classes in the data, not 1000; set network.classes = 3"
    )
    with pytest.raises(UserError) as error:
        read(IMAGES, SIDE, 3, 1000, tree)
    assert str(error.value) == message


def png(width: int, height: int) -> bytes:
    """A picture of one bit a pixel that says it is this large."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def saved(picture: Image.Image, kind: str, folder: Path) -> bytes:
    picture.save(folder / "saved", kind)
    return (folder / "saved").read_bytes()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda folder: b"", "it is neither"),
        (lambda folder: b"<html>", "it is neither"),
        (lambda folder: saved(Image.fromarray(noise(1)), "GIF", folder), "it is neither"),
        (lambda folder: saved(Image.fromarray(noise(1, 90, 90)), "JPEG", folder)[:-900], "truncated"),
        (lambda folder: saved(Image.fromarray(noise(1, 90, 90)), "PNG", folder)[:-9000], ""),
        (lambda folder: saved(Image.new("I;16", (9, 9)), "PNG", folder), "it has more than 8 bits a channel"),
        (lambda folder: png(9, 9).replace(b"\x11IDAT", b"\x03IDAT"), "broken PNG file"),
        (lambda folder: png(12_000, 9_000), "108,000,000 pixels"),
        (lambda folder: png(60_000, 60_000), "3600000000 pixels"),
    ],
)
def test_what_is_no_picture_is_named_and_nothing_kept(
    tree: Path, kept: Path, content: Callable[[Path], bytes], reason: str
) -> None:
    bad = tree / "train/dog/bad.png"
    bad.write_bytes(content(kept.parents[1]))
    with pytest.raises(UserError) as error:
        pictures(tree)
    assert str(error.value).startswith(f"'{bad}' must be a whole PNG or JPEG picture, but: ")
    assert reason in str(error.value)
    assert str(error.value).endswith("; remove it or save it anew")
    assert not kept.exists()
