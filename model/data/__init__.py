"""The images: where they come from, how they are split, and how those that decode slowly are kept."""

from model.data._parts import Dataset, Images
from model.data._read import fingerprint, read

__all__ = ["Dataset", "Images", "fingerprint", "read"]
