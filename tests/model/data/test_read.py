"""The digits: pixels, split, file errors; and what holds for every source."""

import gzip
import hashlib
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from codegen.errors import UserError
from model.data import Dataset, Images, fingerprint, read
from model.data._parts import stratified
from model.recipe import Data, Source

DIGITS = Data(Source.DIGITS, 137)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return read(DIGITS, 8, 1, 10, None)


def rows(images: Images) -> list[bytes]:
    return [
        image.tobytes() + bytes([label]) for image, label in zip(images.images, images.labels, strict=True)
    ]


def test_every_image_lands_in_one_part_as_pixels(dataset: Dataset) -> None:
    values, labels = load_digits(return_X_y=True)
    pixels = np.array([[(int(v) * 255 + 8) // 16 for v in row] for row in values], np.uint8)
    parts = (dataset.train, dataset.validation, dataset.test)
    assert [len(part) for part in parts] == [1300, 137, 360]
    assert sorted(row for part in parts for row in rows(part)) == sorted(rows(Images(pixels, labels)))
    assert dataset.test.images.shape == (360, 8, 8, 1)
    assert (dataset.test.images.dtype, dataset.test.labels.dtype) == (np.uint8, np.int64)
    assert (dataset.test.images.min(), dataset.test.images.max()) == (0, 255)


def test_the_description_says_what_was_split_and_how(dataset: Dataset) -> None:
    assert dataset.description == (
        "scikit-learn digits, 8x8, 1,300 training, 137 validation, 360 test, stratified, split seed 0"
    )
    assert dataset.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")


def test_every_class_has_its_share_of_the_test_images(dataset: Dataset) -> None:
    _, labels = load_digits(return_X_y=True)
    share = np.bincount(labels) * 360 / 1797
    assert np.abs(np.bincount(dataset.test.labels) - share).max() < 1


def test_the_held_out_images_stay_the_same_ones(dataset: Dataset) -> None:
    np.random.seed(5)
    again = read(replace(DIGITS, validation=20), 8, 1, 10, None)
    assert rows(again.test) == rows(dataset.test)
    values = ((dataset.test.images.astype(np.int64) * 15 + 127) // 255).astype(np.uint8)  # as 4-bit codes
    digest = hashlib.sha256(b"".join(rows(Images(values, dataset.test.labels)))).hexdigest()
    assert digest == "7ba1c55f59afd2f3f432c88b0dd6bf628650b8d61127cb7db40acc5e25917139"


def test_another_side_scales_every_image(dataset: Dataset) -> None:
    wide = read(DIGITS, 28, 1, 10, None)
    picture = Image.fromarray(dataset.validation.images[5, ..., 0])
    expected = np.asarray(picture.resize((28, 28), Image.Resampling.BICUBIC))
    assert wide.validation.images.shape == (137, 28, 28, 1)
    assert np.array_equal(wide.validation.images[5, ..., 0], expected)
    assert np.array_equal(wide.validation.labels, dataset.validation.labels)
    assert wide.description.startswith("scikit-learn digits, 28x28, ")


def write_digits(folder: Path) -> None:
    values, labels = load_digits(return_X_y=True)
    np.savetxt(folder / "digits.csv.gz", np.column_stack([values, labels]), fmt="%d", delimiter=",")


def test_a_folder_with_the_file_gives_the_same_images(dataset: Dataset, tmp_path: Path) -> None:
    write_digits(tmp_path)
    assert rows(read(DIGITS, 8, 1, 10, tmp_path).train) == rows(dataset.train)


def test_the_fingerprint_changes_with_whatever_changes_the_images(tmp_path: Path) -> None:
    write_digits(tmp_path)
    first = fingerprint(DIGITS, 8, tmp_path)
    assert fingerprint(replace(DIGITS, crop=2, flip=True), 8, tmp_path) == first
    others = [fingerprint(DIGITS, 8, None), fingerprint(DIGITS, 9, tmp_path)]
    others.append(fingerprint(replace(DIGITS, validation=9), 8, tmp_path))
    (tmp_path / "digits.csv.gz").write_bytes(b"another")
    others.append(fingerprint(DIGITS, 8, tmp_path))
    assert len({first, *others}) == 5


def test_only_scaled_digits_depend_on_what_scales_them() -> None:
    assert "Pillow" not in fingerprint(DIGITS, 8, None)
    assert "Pillow" in fingerprint(DIGITS, 9, None)


def test_a_folder_without_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"^the digits must be in '.*/digits.csv.gz', but: No such file .*; leave"
    ):
        fingerprint(DIGITS, 8, tmp_path)
    with pytest.raises(
        UserError, match=r"/digits.csv.gz' must be the file that scikit-learn ships, but: .* not f"
    ):
        read(DIGITS, 8, 1, 10, tmp_path)


def lines(count: int, line: str) -> bytes:
    return gzip.compress((line + "\n").encode() * count, mtime=0)


PIXELS = ",".join(["3"] * 64)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no gzip", "must be the file that scikit-learn ships, but: Not a gzipped file"),
        (lines(800, PIXELS + ",3")[:-20], "must be the file that scikit-learn ships, but: "),
        (lines(800, PIXELS + ",three"), "must be the file that scikit-learn ships, but: could not convert"),
        (lines(800, PIXELS), "in 0..16 and a class in 0..9, not 800 lines of 64 values in 3..3"),
        (lines(10, PIXELS + ",3"), "must hold 720 lines or more of 64 values"),
        (lines(800, PIXELS + ",10"), "not 800 lines of 65 values in 3..10"),
        (lines(800, PIXELS[:-1] + "17,3"), "not 800 lines of 65 values in 3..17"),
        (lines(800, PIXELS[:-1] + "-1,3"), "not 800 lines of 65 values in -1..3"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "digits.csv.gz").write_bytes(content)
    with pytest.raises(UserError) as error:
        read(DIGITS, 8, 1, 10, tmp_path)
    assert str(error.value).startswith(f"'{tmp_path / 'digits.csv.gz'}' must ")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("channels", "classes", "validation", "message"),
    [
        (1, 10, 719, r"^data.validation must be at most 718, half of the training images, not 719$"),
        (3, 10, 137, r"^the digits have 1 channel, but the network takes 3; choose another network.name or "),
        (1, 7, 137, r"^network.classes must be 10, the number of classes in the data, not 7; set network.cl"),
    ],
)
def test_what_does_not_suit_is_refused(channels: int, classes: int, validation: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(Data(Source.DIGITS, validation), 8, channels, classes, None)


def test_half_of_the_training_images_may_be_set_aside() -> None:
    assert len(read(Data(Source.DIGITS, 718), 8, 1, 10, None).train) == 719


@pytest.mark.parametrize(
    ("source", "start"),
    [
        (
            Source.CIFAR10,
            "CIFAR-10 must be given by --data, but that was left out; it takes the folder with the ",
        ),
        (
            Source.IMAGES,
            "pictures must be given by --data, but that was left out; it takes a folder with the pic",
        ),
    ],
)
def test_what_no_package_brings_needs_a_folder(source: Source, start: str) -> None:
    for use in (lambda: fingerprint(Data(source, 1), 8, None), lambda: read(Data(source, 1), 8, 3, 10, None)):
        with pytest.raises(UserError) as error:
            use()
        assert str(error.value).startswith(start)
        assert str(error.value).endswith("nothing is downloaded by itself")


def test_a_split_takes_its_share_of_each_class_whatever_the_order_of_the_labels() -> None:
    labels = np.array([2, 0, 1, 0, 2, 0, 0, 1, 0, 0], np.int64)
    rest, taken = stratified(labels, 5)
    assert np.bincount(labels[taken]).tolist() == [3, 1, 1]
    assert sorted([*rest, *taken]) == list(range(10))
    assert np.all(np.diff(rest) > 0) and np.all(np.diff(taken) > 0)


def test_a_split_of_a_million_images_of_a_thousand_classes_is_quick() -> None:
    labels = np.random.default_rng(0).integers(0, 1000, 1_200_000)
    start = time.process_time()
    rest, taken = stratified(labels, 50_000)
    assert time.process_time() - start < 2
    assert (len(rest), len(taken)) == (1_150_000, 50_000)
    assert np.abs(np.bincount(labels[taken]) - np.bincount(labels) / 24).max() < 1
