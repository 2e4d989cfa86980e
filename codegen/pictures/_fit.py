"""From a picture of any size and mode to the codes of an image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Fit", "fitted", "middle", "to_codes"]


@dataclass(frozen=True)
class Fit:
    """How a picture becomes an image of ``rows`` x ``columns`` pixels of 1 (grey) or 3 channels.

    It is scaled to ``side`` x ``side`` pixels first, if that is given, and then the middle is cut out, as in
    training where a recipe has ``data.side``.
    """

    rows: int
    columns: int
    channels: int
    side: int | None = None

    def apply(self, picture: Image.Image) -> NDArray[np.uint8]:
        """The picture as pixels (rows, columns, channels)."""
        if self.side is None:
            return fitted(picture, self.rows, self.columns, self.channels)
        return middle(fitted(picture, self.side, self.side, self.channels), self.rows, self.columns)


def fitted(picture: Image.Image, rows: int, columns: int, channels: int) -> NDArray[np.uint8]:
    """The largest middle part of a picture that has the shape of the image, scaled to it (bicubic), as pixels
    (rows, columns, channels).

    Where that part has the image's size already the pixels stay as they are. One channel is grey.
    """
    picture = picture.convert("RGB" if channels == 3 else "L")
    width, height = picture.size
    across, down = min(width, height * columns / rows), min(height, width * rows / columns)
    if (across, down) == (columns, rows):
        left, top = (width - columns) // 2, (height - rows) // 2
        part = picture.crop((left, top, left + columns, top + rows))
    else:
        x, y = (width - across) / 2, (height - down) / 2
        part = picture.resize((columns, rows), Image.Resampling.BICUBIC, box=(x, y, x + across, y + down))
    return np.asarray(part, np.uint8).reshape(rows, columns, channels)


def middle(pixels: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """The middle of images (..., height, width, channels): (..., rows, columns, channels)."""
    height, width = pixels.shape[-3:-1]
    top, left = (height - rows) // 2, (width - columns) // 2
    return pixels[..., top : top + rows, left : left + columns, :]


def to_codes(pixels: NDArray[np.uint8], high: int) -> NDArray[np.uint8]:
    """Pixels 0..255 of any shape as codes 0..``high``, 1 to 255: ``(v * high + 127) // 255``."""
    if high == 255:
        return pixels
    codes: NDArray[np.uint8] = ((np.arange(256) * high + 127) // 255).astype(np.uint8)
    return np.take(codes, pixels)
