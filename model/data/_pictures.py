"""Images of a data set in the size that a network wants."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codegen.pictures import fitted


def scaled(images: NDArray[np.uint8], side: int, channels: int) -> NDArray[np.uint8]:
    """Images (N, H, H, 1 or 3) as `fitted` gives each of them: (N, side, side, channels)."""
    if images.shape[1:] == (side, side, channels):
        return images
    result = np.empty((len(images), side, side, channels), np.uint8)
    for row, pixels in enumerate(images):
        flat = pixels[..., 0] if pixels.shape[2] == 1 else pixels
        result[row] = fitted(Image.fromarray(flat), side, side, channels)
    return result
