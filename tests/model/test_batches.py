"""Batches: exact where pixels move by whole steps, codes always, and the same whoever looks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from codegen.errors import UserError
from model.batches import Batches, to_codes, to_tensor
from model.data import Images
from model.recipe import Data, Source

CPU = torch.device("cpu")
PLAIN = Data(Source.DIGITS, 1)


def noise(count: int, side: int, channels: int = 3) -> Images:
    """Random images; a label is the place of its image."""
    pixels = np.random.default_rng(side).integers(0, 256, (count, side, side, channels)).astype(np.uint8)
    return Images(pixels, np.arange(count))


def change(**how: float) -> Data:
    return Data(Source.DIGITS, 1, **how)  # type: ignore[arg-type]


def epoch(batches: Batches, seed: int = 0) -> tuple[Tensor, Tensor]:
    """All batches of an epoch after each other."""
    codes, labels = zip(*batches.epoch(seed), strict=True)
    return torch.cat(codes), torch.cat(labels)


def back(codes: Tensor) -> np.ndarray:
    """Codes as (N, H, W, C) uint8, which they must fit."""
    pixels = codes.permute(0, 2, 3, 1).numpy()
    assert np.array_equal(pixels, pixels.astype(np.uint8))
    return pixels.astype(np.uint8)


@pytest.mark.parametrize("bits", range(1, 9))
def test_every_pixel_becomes_the_nearest_code(bits: int) -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    codes = to_codes(pixels, 16, bits)
    assert codes.dtype == np.uint8
    assert codes.ravel().tolist() == [(v * (2**bits - 1) + 127) // 255 for v in range(256)]


def test_codes_of_digits_are_those_of_their_values() -> None:
    pixels = np.array([(v * 255 + 8) // 16 for v in range(17)], np.uint8).reshape(17, 1, 1, 1)
    for bits in range(1, 9):
        expected = [(v * (2**bits - 1) + 8) // 16 for v in range(17)]
        assert to_codes(pixels, 1, bits).ravel().tolist() == expected


@pytest.mark.parametrize(("side", "first"), [(6, 0), (7, 0), (8, 1), (9, 1)])
@pytest.mark.parametrize("bits", [4, 8])
def test_codes_are_of_the_middle(side: int, first: int, bits: int) -> None:
    pixels = noise(3, side).images
    cut = pixels[:, first : first + 6, first : first + 6].astype(np.int64)
    assert np.array_equal(to_codes(pixels, 6, bits), (cut * (2**bits - 1) + 127) // 255)


def test_images_smaller_than_the_network_takes_are_refused() -> None:
    message = r"^data.side must be at least 9, the side of the network's images, not 8$"
    with pytest.raises(UserError, match=message):
        to_codes(noise(2, 8).images, 9, 8)
    with pytest.raises(UserError, match=message):
        Batches(noise(2, 8), PLAIN, 9, 8, 2, CPU)


def test_a_tensor_has_the_codes_with_the_channels_first() -> None:
    codes = noise(5, 4).images
    codes.flags.writeable = False  # as those of a file are
    tensor = to_tensor(codes)
    assert (tensor.dtype, tensor.shape, tensor.is_contiguous()) == (torch.float32, (5, 3, 4, 4), True)
    assert np.array_equal(back(tensor), codes)


@pytest.mark.parametrize("bits", [8, 3])
def test_without_changes_an_epoch_shows_every_image_once(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.nn.functional, "grid_sample")  # nothing to sample
    images = noise(100, 8)
    codes, labels = epoch(Batches(images, PLAIN, 8, bits, 20, CPU))
    assert (codes.dtype, labels.dtype, codes.is_contiguous()) == (torch.float32, torch.int64, True)
    assert sorted(labels.tolist()) == list(range(100)) != labels.tolist()
    assert np.array_equal(back(codes), to_codes(images.images[labels.numpy()], 8, bits))


def test_what_fills_no_batch_is_left_out_and_another_part_each_epoch() -> None:
    batches = Batches(noise(50, 8), PLAIN, 8, 8, 16, CPU)
    assert len(batches) == 3 == len(list(batches.epoch(1)))
    left = [set(range(50)) - set(epoch(batches, seed)[1].tolist()) for seed in range(30)]
    assert all(len(one) == 2 for one in left)
    assert len(set.union(*left)) > 25


@pytest.mark.parametrize(
    ("side", "size", "crop", "flip"),
    [
        (8, 8, 0, True),
        (8, 8, 2, False),
        (11, 8, 0, False),
        (13, 8, 3, True),
        (32, 32, 4, True),
        (231, 224, 0, True),
    ],
)
def test_whole_steps_move_pixels_exactly(side: int, size: int, crop: int, flip: bool) -> None:
    images = noise(4 if side > 100 else 200, side)
    codes, labels = epoch(Batches(images, change(crop=crop, flip=flip), size, 8, 2, CPU))
    wide = np.pad(images.images, ((0, 0), (crop, crop), (crop, crop), (0, 0)))
    ways = set()
    for seen, label in zip(back(codes), labels.tolist(), strict=True):
        way = place(seen, wide[label], size, flip)
        assert way is not None, f"image {label} is no part of itself"
        ways.add(way)
    steps = side - size + 2 * crop + 1
    if side < 100:
        assert len(ways) > min(steps**2, 100) / 2
        assert {y for y, _, _ in ways} == {x for _, x, _ in ways} == set(range(steps))
        assert {mirrored for _, _, mirrored in ways} == ({False, True} if flip else {False})


def place(seen: np.ndarray, wide: np.ndarray, size: int, flip: bool) -> tuple[int, int, bool] | None:
    """Where in the image that stands in zeros, and whether mirrored, exactly this is seen."""
    for mirrored in (False, True) if flip else (False,):
        pattern = seen[:, ::-1] if mirrored else seen
        for y in range(len(wide) - size + 1):
            for x in range(len(wide) - size + 1):
                if np.array_equal(wide[y : y + size, x : x + size], pattern):
                    return y, x, mirrored
    return None


def test_half_of_the_images_are_mirrored_and_every_place_is_as_likely() -> None:
    ramp = np.tile(np.arange(10, 90, 10, dtype=np.uint8)[:, None], (6000, 8, 1, 1))
    codes, _ = epoch(
        Batches(Images(ramp, np.zeros(6000, np.int64)), change(flip=True, crop=1), 8, 8, 6000, CPU)
    )
    middle = codes[:, 0, 4, 3:5]
    rising = middle[:, 1] > middle[:, 0]
    assert abs(int(rising.sum()) - 3000) < 200
    steps = torch.bincount((middle[rising].mean(1) - 30).long() // 5)
    counts = steps[steps > 0]
    assert len(counts) == 3 and (counts - rising.sum() / 3).abs().max() < 150


def dot(count: int, side: int, y: int, x: int) -> Images:
    """Black images with one white pixel."""
    pixels = np.zeros((count, side, side, 1), np.uint8)
    pixels[:, y, x] = 255
    return Images(pixels, np.zeros(count, np.int64))


def centres(codes: Tensor) -> Tensor:
    """Centre of brightness (N, 2) of each image, down and right from the middle, in pixels."""
    size = codes.shape[-1]
    line = torch.arange(size) + 0.5 - size / 2
    light = codes[:, 0] / codes[:, 0].sum((1, 2), keepdim=True)
    return torch.stack([(light.sum(2) * line).sum(1), (light.sum(1) * line).sum(1)], dim=1)


def test_a_shift_moves_by_parts_of_a_pixel_up_to_its_own() -> None:
    batches = Batches(dot(400, 9, 4, 4), change(shift=1.5), 9, 8, 400, CPU)
    moved = centres(epoch(batches)[0])
    assert 1.4 < moved.abs().max() < 1.51
    assert (moved.amin(0) < -1.4).all() and (moved.amax(0) > 1.4).all()
    assert 0.6 < moved.abs().mean() < 0.9


@pytest.mark.parametrize("flip", [False, True])
def test_a_rotation_turns_about_the_middle_up_to_its_angle(flip: bool) -> None:
    batches = Batches(dot(400, 33, 16, 28), change(rotate=20, flip=flip), 33, 8, 400, CPU)
    moved = centres(epoch(batches)[0]).to(torch.float64)
    assert (moved.norm(dim=1) - 12).abs().max() < 0.2
    degrees = torch.rad2deg(torch.atan2(moved[:, 0], moved[:, 1].abs()))
    assert degrees.min() < -19 and degrees.max() > 19 and degrees.abs().max() < 20.5
    assert set((moved[:, 1] < 0).tolist()) == ({False, True} if flip else {False})


def test_a_zoom_scales_about_the_middle_up_to_its_share() -> None:
    batches = Batches(dot(400, 33, 16, 26), change(zoom=0.25), 33, 8, 400, CPU)
    moved = centres(epoch(batches)[0])
    assert moved[:, 0].abs().max() < 0.01
    assert 10 / 1.26 < moved[:, 1].min() < 8.2 and 13 < moved[:, 1].max() < 10 / 0.74


def test_a_window_of_a_larger_image_turns_about_its_own_middle() -> None:
    batches = Batches(dot(300, 33, 16, 16), change(rotate=45), 31, 8, 300, CPU)
    moved = centres(epoch(batches)[0])
    before = centres(epoch(Batches(dot(300, 33, 16, 16), PLAIN, 31, 8, 300, CPU))[0])
    assert (moved.norm(dim=1) - before.norm(dim=1)).abs().max() < 0.2
    assert 0.9 < (moved - before).norm(dim=1).max() < 1.3


@pytest.mark.parametrize("bits", range(1, 9))
def test_changed_images_are_codes_of_their_width(bits: int) -> None:
    data = change(crop=2, flip=True, shift=0.7, rotate=10, zoom=0.1)
    fine, labels = epoch(Batches(noise(60, 12), data, 10, 8, 20, CPU))
    coarse, same = epoch(Batches(noise(60, 12), data, 10, bits, 20, CPU))
    assert torch.equal(labels, same)
    assert np.array_equal(back(coarse), to_codes(back(fine), 10, bits))
    assert coarse.min() == 0 and coarse.max() > 0.9 * (2**bits - 1)


def test_an_epoch_depends_on_its_seed_alone() -> None:
    data = change(crop=2, flip=True, shift=0.7, rotate=10, zoom=0.1)
    batches = Batches(noise(60, 12), data, 10, 8, 20, CPU)
    first = epoch(batches, 5)
    torch.manual_seed(9)
    np.random.seed(9)
    other = epoch(batches, 6)
    again = epoch(Batches(noise(60, 12), data, 10, 8, 20, CPU), 5)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])
    in_order = [one[0][one[1].argsort()] for one in (first, other)]
    assert not torch.equal(*in_order)


@pytest.mark.parametrize("world", [2, 3])
def test_processes_together_see_what_one_would(world: int) -> None:
    data = change(crop=2, flip=True, shift=0.7, rotate=10, zoom=0.1)
    alone = Batches(noise(50, 12), data, 10, 8, 12, CPU)
    parts = [Batches(noise(50, 12), data, 10, 8, 12, CPU, rank, world) for rank in range(world)]
    assert {len(part) for part in parts} == {len(alone)}
    for (codes, labels), *seen in zip(alone.epoch(4), *(part.epoch(4) for part in parts), strict=True):
        for rank, (some, theirs) in enumerate(seen):
            assert torch.equal(some, codes[rank::world])
            assert torch.equal(theirs, labels[rank::world])


def test_batches_that_cannot_be_are_refused() -> None:
    with pytest.raises(UserError, match=r"^batch must be at most 50, the number of training images, not 51$"):
        Batches(noise(50, 8), PLAIN, 8, 8, 51, CPU)
    with pytest.raises(UserError, match=r"^batch must be a multiple of 4, the number of processes, not 50$"):
        Batches(noise(50, 8), PLAIN, 8, 8, 50, CPU, 0, 4)
    assert len(Batches(noise(50, 8), PLAIN, 8, 8, 50, CPU)) == 1


def test_images_of_a_file_are_read_as_they_are_needed(tmp_path: Path) -> None:
    images = noise(50, 12)
    np.save(tmp_path / "images.npy", images.images)
    mapped = Images(np.load(tmp_path / "images.npy", mmap_mode="r"), images.labels)
    data = change(crop=1, flip=True)
    one, other = (epoch(Batches(which, data, 12, 8, 10, CPU))[0] for which in (images, mapped))
    assert torch.equal(one, other)


def test_an_accelerator_sees_what_the_processor_sees() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    for data in (PLAIN, change(crop=4, flip=True)):
        for bits in (8, 3):
            here, there = (
                epoch(Batches(noise(300, 32), data, 32, bits, 100, torch.device(device)))
                for device in ("cpu", "cuda")
            )
            assert torch.equal(here[0], there[0].cpu()) and torch.equal(here[1], there[1].cpu())
