"""The images: where they come from, and how they are split."""

from model.data.images import Dataset, Images, Part
from model.data.sources import fingerprint, read

__all__ = ["Dataset", "Images", "Part", "fingerprint", "read"]
