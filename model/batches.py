"""Images as torch tensors, and batches of randomly jittered ones."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model import recipe as recipes
from model.data import Images


def to_tensor(images: NDArray[np.uint8]) -> Tensor:
    """Codes (N, H, W, C) uint8 -> (N, C, H, W) float64, torch's order, still the integer codes."""
    return torch.from_numpy(images.astype(np.float64)).permute(0, 3, 1, 2).contiguous()


class Batches:
    """Every iteration is one epoch of shuffled, jittered batches.

    A batch is codes (B, C, H, W) as integer-valued float64, and labels (B,) int64.
    """

    def __init__(
        self, images: Images, batch: int, jitter: recipes.Data, input_bits: int, generator: torch.Generator
    ) -> None:
        self.images, self.labels = to_tensor(images.images), torch.from_numpy(images.labels)
        self.batch, self.jitter, self.top, self.generator = batch, jitter, 2**input_bits - 1, generator

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.labels), generator=self.generator)
        for rows in torch.split(order, self.batch):
            if len(rows) > 1:  # batch norm cannot train on one image
                yield self._jittered(self.images[rows]), self.labels[rows]

    def _jittered(self, images: Tensor) -> Tensor:
        """Each image moved, turned and scaled by its own random amounts, zeros around, as codes again."""
        n, _, height, width = images.shape
        shift_y, shift_x, turn, zoom = 2 * torch.rand(4, n, generator=self.generator, dtype=torch.float64) - 1
        angle, scale = turn * math.radians(self.jitter.rotate), 1 + zoom * self.jitter.zoom
        cos, sin = angle.cos() * scale, angle.sin() * scale
        move_x, move_y = shift_x * 2 * self.jitter.shift / width, shift_y * 2 * self.jitter.shift / height
        matrices = torch.stack([cos, -sin, move_x, sin, cos, move_y], dim=1).reshape(n, 2, 3)
        grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
        moved = functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)
        return moved.round().clamp(0, self.top)
