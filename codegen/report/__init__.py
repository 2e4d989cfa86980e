"""The report of a build: what it is, what it costs, what was predicted and what was seen (docs/report.md)."""

from .make import report, tidy, trained_accuracy
from .schema import Report
from .store import PAGE, REPORTS, change_report, has_report, read_report, write_report

__all__ = [
    "PAGE",
    "REPORTS",
    "Report",
    "change_report",
    "has_report",
    "read_report",
    "report",
    "tidy",
    "trained_accuracy",
    "write_report",
]
