"""A folder of pictures, and what is read from it."""

from pathlib import Path

import numpy as np

from model.data import Dataset, read
from model.recipe import Data, Source

IMAGES = Data(Source.IMAGES, 3)
SIDE = 6
TREE = {"train/cat": 4, "train/dog": 3, "train/eel": 2, "test/cat": 1, "test/dog": 2, "test/eel": 1}


def noise(seed: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def pictures(root: Path, side: int = SIDE, channels: int = 3, validation: int = 3) -> Dataset:
    return read(Data(Source.IMAGES, validation), side, channels, 3, root)


def held_out(root: Path, side: int = SIDE, channels: int = 3) -> np.ndarray:
    """What became of the only picture in test/cat."""
    return pictures(root, side, channels).test.images[0]
