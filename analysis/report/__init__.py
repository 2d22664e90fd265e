"""One self-contained page about a study: it opens without a network and loads nothing."""

from analysis.report.page import write_report
from analysis.report.study import Study, read_study

__all__ = ["Study", "read_study", "write_report"]
