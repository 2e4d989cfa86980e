"""Pictures of any size and mode as squares of 8-bit pixels."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from codegen.errors import UserError

_UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,  # what Pillow raises for some broken PNG files
    EOFError,
    LookupError,
    OverflowError,
    TypeError,
    struct.error,
    zlib.error,
    MemoryError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def decoded(path: Path, side: int, channels: int) -> NDArray[np.uint8]:
    """The PNG or JPEG file at `path` as pixels (side, side, channels); raises UserError if it is not one."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            if picture.mode.startswith(("I", "F")):
                raise ValueError("it has more than 8 bits a channel")
            return fitted(picture, side, channels)
    except _UNREADABLE as error:
        reason = "it is neither" if isinstance(error, UnidentifiedImageError) else error
        raise UserError(f"'{path}' must be a whole PNG or JPEG picture, but: {reason}; remove it") from error


def fitted(picture: Image.Image, side: int, channels: int) -> NDArray[np.uint8]:
    """The middle square of a picture, its short side scaled to `side`, as pixels (side, side, channels).

    Where the short side is `side` already the pixels stay as they are. One channel is grey.
    """
    picture = picture.convert("RGB" if channels == 3 else "L")
    short = min(picture.size)
    if short == side:
        left, top = ((length - side) // 2 for length in picture.size)
        square = picture.crop((left, top, left + side, top + side))
    else:
        x, y = ((length - short) / 2 for length in picture.size)
        square = picture.resize((side, side), Image.Resampling.BICUBIC, box=(x, y, x + short, y + short))
    return np.asarray(square, np.uint8).reshape(side, side, channels)


def scaled(images: NDArray[np.uint8], side: int, channels: int) -> NDArray[np.uint8]:
    """Images (N, H, H, 1 or 3) as `fitted` gives each of them: (N, side, side, channels)."""
    if images.shape[1:] == (side, side, channels):
        return images
    result = np.empty((len(images), side, side, channels), np.uint8)
    for row, pixels in enumerate(images):
        flat = pixels[..., 0] if pixels.shape[2] == 1 else pixels
        result[row] = fitted(Image.fromarray(flat), side, channels)
    return result
