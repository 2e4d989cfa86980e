"""Images as the codes of a network, plain or randomly changed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from codegen.ir import UserError
from model import recipe as recipes
from model.data import Part


def to_codes(pixels: NDArray[np.uint8], size: int, input_bits: int) -> NDArray[np.uint8]:
    """Pixels (N, H, W, C) -> the middle of them, (N, size, size, C), as codes of `input_bits` bits."""
    top, left = (pixels.shape[1] - size) // 2, (pixels.shape[2] - size) // 2
    cut = pixels[:, top : top + size, left : left + size]
    return ((cut.astype(np.int64) * (2**input_bits - 1) + 127) // 255).astype(np.uint8)


def to_tensor(codes: NDArray[np.uint8]) -> Tensor:
    """(N, H, W, C) uint8 -> (N, C, H, W) float32, torch's order, still the integers."""
    return torch.from_numpy(codes).permute(0, 3, 1, 2).float().contiguous()


class Batches:
    """Epochs of shuffled batches, each image changed by its own random amounts.

    A batch is codes (batch / world, C, size, size), integer-valued float32, and labels int64: the share of
    the process `rank`, so that `world` processes together see what one would see. Raises UserError if there are
    fewer images than one batch holds, or if the processes cannot have equal shares.
    """

    def __init__(
        self,
        images: Part,
        data: recipes.Data,
        size: int,
        input_bits: int,
        batch: int,
        device: torch.device,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch > len(images):
            raise UserError(f"batch must be at most {len(images)}, as there are training images, not {batch}")
        if batch % world:
            raise UserError(f"batch must be a multiple of the {world} processes that share it, not {batch}")
        self.images, self.data, self.size, self.batch, self.device = images, data, size, batch, device
        self.rank, self.world, self.top = rank, world, 2**input_bits - 1

    def __len__(self) -> int:
        """Whole batches; what is left over is another part in every epoch."""
        return len(self.images) // self.batch

    def epoch(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All batches once; order and changes depend on the seed alone."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.images), generator=generator).numpy()
        for start in range(0, len(self) * self.batch, self.batch):
            changes = _Changes(self.data, self.batch, generator).share(self.rank, self.world)
            some = self.images[order[start : start + self.batch][self.rank :: self.world]]
            pixels = torch.from_numpy(some.images).to(self.device).permute(0, 3, 1, 2).float()
            yield (
                self._codes(changes.applied(pixels, self.size)),
                torch.from_numpy(some.labels).to(self.device),
            )

    def _codes(self, pixels: Tensor) -> Tensor:
        """As `to_codes`: floats of these integers are exact, and their quotients are not near whole numbers."""
        return ((pixels * self.top + 127) / 255).floor_()


class _Changes:
    """Random amounts for each of N images, in -1..1 but for `mirror`, which is 1 or -1; float64 (N,)."""

    def __init__(self, data: recipes.Data, count: int, generator: torch.Generator) -> None:
        self.data = data
        amounts = 2 * torch.rand(7, count, generator=generator, dtype=torch.float64) - 1
        self.amounts = amounts

    def share(self, rank: int, world: int) -> _Changes:
        """Those of every `world`-th image."""
        self.amounts = self.amounts[:, rank::world]
        return self

    def applied(self, pixels: Tensor, size: int) -> Tensor:
        """Pixels (N, C, H, W) -> (N, C, size, size): cut, mirrored, turned, scaled, moved; zeros around."""
        data, side = self.data, pixels.shape[2]
        room = side - size
        if not (room or data.crop or data.flip or data.shift or data.rotate or data.zoom):
            return pixels
        cut_y, cut_x, mirror, shift_y, shift_x, turn, zoom = self.amounts
        angle, scale = turn * math.radians(data.rotate), 1 + zoom * data.zoom
        flip = torch.where(mirror < 0, -1.0, 1.0) if data.flip else torch.ones_like(mirror)
        cos, sin = angle.cos() * scale * size / side, angle.sin() * scale * size / side
        move_y, move_x = (
            2 * (self._cut(cut, room) + shift * data.shift) / side
            for cut, shift in ((cut_y, shift_y), (cut_x, shift_x))
        )
        matrices = torch.stack([cos * flip, -sin, move_x, sin * flip, cos, move_y], dim=1).reshape(-1, 2, 3)
        shape = [len(pixels), pixels.shape[1], size, size]
        grid = functional.affine_grid(matrices.to(pixels.device, pixels.dtype), shape, align_corners=False)
        moved = functional.grid_sample(pixels, grid, padding_mode="zeros", align_corners=False)
        return moved.round_().clamp_(0, 255)

    def _cut(self, amount: Tensor, room: int) -> Tensor:
        """How far the middle of the cut is from the middle of the picture: whole steps from edge to edge."""
        reach = room + 2 * self.data.crop  # there are reach + 1 places
        place = ((amount + 1) / 2 * (reach + 1)).floor().clamp_max(reach)
        return place - reach / 2
