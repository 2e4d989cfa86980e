"""The report of a build as a page: one file that needs nothing else (docs/report.md)."""

from .page import html

__all__ = ["html"]
