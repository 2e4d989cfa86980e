"""Picture files as the images that a network reads."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from codegen.errors import UserError

from .identity import Identity

__all__ = ["is_picture", "read_picture"]

_MODES = {1: "L", 3: "RGB"}


def is_picture(path: Path) -> bool:
    """Whether a file is called like a picture."""
    return path.is_file() and path.suffix.lower() in Image.registered_extensions()


def read_picture(path: Path, identity: Identity) -> NDArray[np.uint8]:
    """A picture as (rows, columns, channels) codes 0..high, resized to what the board reads; grey for one
    channel, red, green and blue for three.

    Raises ``UserError`` for a file that is no picture, or a board that reads something else.
    """
    mode = _MODES.get(identity.channels)
    if mode is None:
        raise UserError(
            f"a board must read one channel or three to be shown a picture, not {identity.channels}; "
            "name its network instead, for its own images"
        )
    try:
        with Image.open(path) as picture:
            small = picture.convert(mode).resize((identity.columns, identity.rows), Image.Resampling.BOX)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError) as error:
        raise UserError(f"{path} must be a picture that Pillow can read; {error}") from error
    levels = np.asarray(small, dtype=np.int64).reshape(identity.rows, identity.columns, identity.channels)
    codes: NDArray[np.uint8] = ((levels * identity.high + 127) // 255).astype(np.uint8)
    return codes
