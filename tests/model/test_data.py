"""The digits: codes, split, file errors; and the jittered batches."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from codegen.ir import UserError
from model.batches import Batches, to_tensor
from model.data import Dataset, Images, digits
from model.recipe import Data


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return digits(None, 4, 137)


def rows(images: Images) -> list[bytes]:
    return [
        image.tobytes() + bytes([label]) for image, label in zip(images.images, images.labels, strict=True)
    ]


def test_every_image_lands_in_one_part_as_codes(dataset: Dataset) -> None:
    values, labels = load_digits(return_X_y=True)
    codes = np.array([[(int(v) * 15 + 8) // 16 for v in row] for row in values], np.uint8)
    parts = (dataset.train, dataset.validation, dataset.test)
    assert [len(part) for part in parts] == [1300, 137, 360]
    everything = rows(Images(codes, labels))
    assert sorted(row for part in parts for row in rows(part)) == sorted(everything)
    assert dataset.test.images.shape == (360, 8, 8, 1)
    assert (dataset.test.images.min(), dataset.test.images.max()) == (0, 15)


def test_every_class_has_its_share_of_the_test_images(dataset: Dataset) -> None:
    _, labels = load_digits(return_X_y=True)
    share = np.bincount(labels) * 360 / 1797
    assert np.abs(np.bincount(dataset.test.labels) - share).max() < 1


def test_the_held_out_images_stay_the_same_ones(dataset: Dataset) -> None:
    np.random.seed(5)
    again = digits(None, 4, 20)
    assert rows(again.test) == rows(dataset.test)
    digest = hashlib.sha256(b"".join(rows(dataset.test))).hexdigest()
    assert digest == "7ba1c55f59afd2f3f432c88b0dd6bf628650b8d61127cb7db40acc5e25917139"


def test_a_folder_with_the_file_gives_the_same_images(dataset: Dataset, tmp_path: Path) -> None:
    values, labels = load_digits(return_X_y=True)
    np.savetxt(tmp_path / "digits.csv.gz", np.column_stack([values, labels]), fmt="%d", delimiter=",")
    assert rows(digits(tmp_path, 4, 137).train) == rows(dataset.train)


def lines(count: int, line: str) -> bytes:
    return gzip.compress((line + "\n").encode() * count)


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
        digits(tmp_path, 4, 137)
    assert str(error.value).startswith(f"'{tmp_path / 'digits.csv.gz'}' must ")
    assert message in str(error.value)


def test_too_large_a_validation_part_is_refused() -> None:
    with pytest.raises(UserError, match=r"^data.validation must be at most 718, half of the .*, not 719$"):
        digits(None, 4, 719)


def batches(dataset: Dataset, jitter: Data, batch: int = 64) -> Batches:
    return Batches(dataset.train, batch, jitter, 4, torch.Generator().manual_seed(3))


def test_an_epoch_without_jitter_shows_every_image_once(dataset: Dataset) -> None:
    shown = list(batches(dataset, Data(137, 0, 0, 0)))
    assert [len(labels) for _, labels in shown] == [64] * 20 + [20]
    images = torch.cat([codes for codes, _ in shown])
    labels = torch.cat([labels for _, labels in shown])
    back = Images(images.permute(0, 2, 3, 1).numpy().astype(np.uint8), labels.numpy())
    assert sorted(rows(back)) == sorted(rows(dataset.train))
    assert rows(back) != rows(dataset.train)


def test_jittered_images_are_still_codes_and_other_ones_every_epoch(dataset: Dataset) -> None:
    source = batches(dataset, Data(137, 1, 10, 0.1))
    first, second = (torch.cat([codes for codes, _ in source]) for _ in range(2))
    assert first.dtype == torch.float64
    assert torch.equal(first, first.round())
    assert (first.min(), first.max()) == (0, 15)
    assert not torch.equal(first.sort(0).values, second.sort(0).values)


def test_a_shift_of_one_pixel_moves_by_at_most_one_pixel() -> None:
    image = np.zeros((1, 8, 8, 1), np.uint8)
    image[0, 4, 4, 0] = 15
    dot = Images(np.repeat(image, 200, 0), np.zeros(200, np.int64))
    source = Batches(dot, 200, Data(1, 1, 0, 0), 4, torch.Generator().manual_seed(0))
    moved = next(iter(source))[0]
    reached = (moved.amax(0)[0] > 0).nonzero()
    assert reached.amin(0).tolist() == [3, 3]
    assert reached.amax(0).tolist() == [5, 5]


def test_a_last_batch_of_one_image_is_left_out(dataset: Dataset) -> None:
    assert [len(labels) for _, labels in batches(dataset, Data(137, 0, 0, 0), 433)] == [433, 433, 433]


def test_to_tensor_keeps_the_codes_and_moves_the_channels(dataset: Dataset) -> None:
    images = np.arange(24, dtype=np.uint8).reshape(1, 2, 3, 4)
    assert to_tensor(images)[0, 3, 1, 2] == images[0, 1, 2, 3]
