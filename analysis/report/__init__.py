"""One self-contained page about a study: it opens without a network and loads nothing."""

from analysis.report.page import write_report as write_report
from analysis.report.study import Study as Study
from analysis.report.study import objectives_of as objectives_of
from analysis.report.study import read_study as read_study
from analysis.report.study import side_by_side as side_by_side
