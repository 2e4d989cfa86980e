"""Images as codes and as torch tensors, and batches of randomly changed ones."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from codegen import pictures
from codegen.errors import UserError
from model import recipe as recipes
from model.data import Images

_RESIDENT = 1 << 30  # bytes of images that an accelerator keeps as a whole
_DRAWS = 7  # random numbers an image: crop down and right, mirror, turn, zoom, shift down and right


def to_codes(pixels: NDArray[np.uint8], size: int, input_bits: int) -> NDArray[np.uint8]:
    """Pixels (N, H, W, C) -> codes (N, size, size, C) of `input_bits` bits, those of the middle.

    Raises UserError for images smaller than `size`.
    """
    _check_size(pixels, size)
    return pictures.to_codes(pictures.middle(pixels, size, size), 2**input_bits - 1)


def to_tensor(codes: NDArray[np.uint8]) -> Tensor:
    """Codes (N, H, W, C) -> float32 (N, C, H, W), torch's order, contiguous, still the integer codes."""
    return torch.from_numpy(np.array(codes.transpose(0, 3, 1, 2), np.float32, order="C"))


class Batches:
    """Batches of shuffled and randomly changed images, as codes: what of them one of `world` processes sees.

    Of `size` pixels each image shows a window somewhere in it, up to `data.crop` pixels over its edge, and is
    mirrored, turned, scaled and moved as `data` says; beyond the edge all is 0. Raises UserError for a
    `batch` larger than there are images or that `world` does not divide, and for images smaller than `size`.
    """

    def __init__(
        self,
        images: Images,
        data: recipes.Data,
        size: int,
        input_bits: int,
        batch: int,
        device: torch.device,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        _check_size(images.images, size)
        if batch > len(images):
            raise UserError(
                f"batch must be at most {len(images)}, the number of training images, not {batch}"
            )
        if batch % world:
            raise UserError(f"batch must be a multiple of {world}, the number of processes, not {batch}")
        self.images, self.data, self.size, self.top = images, data, size, 2**input_bits - 1
        self.batch, self.device, self.rank, self.world = batch, device, rank, world
        self.side = images.images.shape[1]
        self._labels = torch.tensor(images.labels, device=device)
        self._resident: Tensor | None = None
        if device.type != "cpu" and images.images.nbytes <= _RESIDENT:
            self._resident = torch.from_numpy(np.array(images.images)).to(device)

    def __len__(self) -> int:
        """Batches an epoch: what is left over is another part of the images each time."""
        return len(self.images) // self.batch

    def epoch(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Codes (batch / world, C, size, size), float32 integers, and labels int64, both on the device.

        They depend on `seed` alone: rank r of `world` processes sees the images r, r + world, ... of the
        batches that one process would see.
        """
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.images), generator=generator)
        mine = slice(self.rank, None, self.world)
        for start in range(0, len(self) * self.batch, self.batch):
            rows = order[start : start + self.batch][mine]
            draws = torch.rand(_DRAWS, self.batch, generator=generator, dtype=torch.float64)[:, mine]
            pixels = self._pixels(rows)
            if self._is_random():
                pixels = self._changed(pixels, draws)
            yield self._codes(pixels), self._labels[rows.to(self.device)]

    def _is_random(self) -> bool:
        data = self.data
        return bool(self.side > self.size or data.crop or data.flip or data.shift or data.rotate or data.zoom)

    def _pixels(self, rows: Tensor) -> Tensor:
        """The images `rows` (n,) as float32 (n, C, side, side)."""
        if self._resident is not None:
            pixels = self._resident[rows.to(self.device)]
        else:
            pixels = torch.from_numpy(np.asarray(self.images.images[rows.numpy()])).to(self.device)
        return pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)

    def _changed(self, pixels: Tensor, draws: Tensor) -> Tensor:
        """Each image through its own window, whole numbers in 0..255 again (n, C, size, size)."""
        matrices = _matrices(draws, self.data, self.side, self.size).to(self.device, torch.float32)
        grid = _grid(matrices, self.size)
        seen = functional.grid_sample(pixels, grid, padding_mode="zeros", align_corners=False)
        return seen.round_().clamp_(0, 255)

    def _codes(self, pixels: Tensor) -> Tensor:
        """`to_codes` of whole numbers in 0..255; the half is for GPUs, which divide by a rounded inverse."""
        return pixels if self.top == 255 else pixels.mul_(self.top).add_(127.5).div_(255).floor_()


def _matrices(draws: Tensor, data: recipes.Data, side: int, size: int) -> Tensor:
    """From draws in 0..1 (7, n) to affine matrices (n, 2, 3): where in the image each point of the window is.

    Both are measured as torch does, from -1 to 1 across the whole image and the whole window.
    """
    steps = side - size + 2 * data.crop  # from the window's first place to its last
    crop_y, crop_x = (draws[:2] * (steps + 1)).floor() - steps / 2  # of its middle from the image's
    mirror = torch.where(draws[2] < 0.5, -1.0, 1.0) if data.flip else torch.ones_like(draws[2])
    turn, zoom, shift_y, shift_x = 2 * draws[3:] - 1
    angle, scale = turn * math.radians(data.rotate), (1 + zoom * data.zoom) * size / side
    cos, sin = angle.cos() * scale, angle.sin() * scale
    move_x, move_y = (
        (crop + shift * data.shift) * 2 / side for crop, shift in ((crop_x, shift_x), (crop_y, shift_y))
    )
    return torch.stack([cos * mirror, -sin, move_x, sin * mirror, cos, move_y], dim=1).reshape(-1, 2, 3)


def _grid(matrices: Tensor, size: int) -> Tensor:
    """Points (n, size, size, 2) for `grid_sample`.

    As torch's `affine_grid`, but without its matrix product, for which a GPU may take numbers of 10 bits: a
    whole pixel must stay one.
    """
    line = (torch.arange(size, device=matrices.device, dtype=torch.float32) * 2 + 1) / size - 1
    across, down, middle = matrices[:, None, None].unbind(-1)
    return across * line[:, None] + down * line[:, None, None] + middle


def _check_size(pixels: NDArray[np.uint8], size: int) -> None:
    if (side := min(pixels.shape[1:3])) < size:
        raise UserError(f"data.side must be at least {size}, the side of the network's images, not {side}")
