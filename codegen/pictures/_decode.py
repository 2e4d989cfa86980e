"""Picture files, decoded within limits. They come from anybody."""

import contextlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from codegen.errors import UserError
from codegen.files import read_bytes
from codegen.pictures._fit import Fit

__all__ = ["FORMATS", "SUFFIXES", "decoded", "is_picture", "without_warnings"]

FORMATS = ("PNG", "JPEG")
SUFFIXES = (".png", ".jpg", ".jpeg")

_BYTES, _PIXELS, _SCANS = 1 << 26, 1 << 26, 100
"""Limits of a file. A progressive JPEG goes over all its pixels once for each scan, and has about ten."""

_UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,  # what Pillow raises for some broken PNG files
    EOFError,
    LookupError,
    OverflowError,
    TypeError,
    AttributeError,
    struct.error,
    zlib.error,
    MemoryError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)

_JPEG_HEAD = b"\xff\xd8"
_PNG_HEAD, _PNG_DEPTH = b"\x89PNG\r\n\x1a\n", 24  # where the bits of a channel stand, in the first chunk


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Keeps Pillow from warning of odd metadata, in all threads: the pixels are what counts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def is_picture(path: Path) -> bool:
    """Whether a file is called like a picture that can be read."""
    return path.is_file() and path.suffix.lower() in SUFFIXES


def decoded(path: Path, fit: Fit) -> NDArray[np.uint8]:
    """The PNG or JPEG file at ``path`` as pixels (rows, columns, channels).

    Raises ``UserError`` for a file that is no such picture, is damaged, has more than 8 bits a channel, or is
    larger than 64 MiB or 67 million pixels.
    """
    content = read_bytes(path, "picture", _BYTES)
    try:
        if content.startswith(_PNG_HEAD) and content[_PNG_DEPTH : _PNG_DEPTH + 1] == b"\x10":
            raise ValueError("it has more than 8 bits a channel")
        if content.startswith(_JPEG_HEAD) and content.count(b"\xff\xda") > _SCANS:
            raise ValueError(f"it has more than {_SCANS} scans")
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            if (pixels := picture.width * picture.height) > _PIXELS:
                raise ValueError(f"it has {pixels:,} pixels, more than {_PIXELS:,}")
            return fit.apply(picture)
    except _UNREADABLE as error:
        reason = "it is neither" if isinstance(error, UnidentifiedImageError) else error
        raise UserError(
            f"'{path}' must be a whole PNG or JPEG picture, but: {reason}; remove it or save it anew"
        ) from error
