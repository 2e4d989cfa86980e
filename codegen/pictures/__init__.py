"""Pictures as the images that a network reads: one decoder, one rule of scaling, one list of formats.

Training, the host of a board and everything else go through here, so a board is shown what training saw.
"""

from codegen.pictures._decode import FORMATS, SUFFIXES, decoded, is_picture, without_warnings
from codegen.pictures._fit import Fit, fitted, middle, to_codes

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "Fit",
    "decoded",
    "fitted",
    "is_picture",
    "middle",
    "to_codes",
    "without_warnings",
]
