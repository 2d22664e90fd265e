"""Fronts, hypervolumes, tables, charts and a page from a study's Parquet files."""

from analysis.anytime import anytime
from analysis.attainment import attainment
from analysis.band import null_bands
from analysis.charts.chart_parts import save
from analysis.charts.confirm import confirm_chart
from analysis.charts.curves import epochs_chart, hypervolume_chart
from analysis.charts.effects import ablation_chart, alpha_chart, effect_chart, importance_chart
from analysis.charts.front import attainment_chart, front_chart, split_chart
from analysis.charts.histograms import histograms_chart
from analysis.charts.linked import linked_chart
from analysis.charts.parallel import parallel_chart
from analysis.charts.residual import residual_chart
from analysis.charts.scaling import scaling_chart
from analysis.choose import Choice, NoChoice, choose
from analysis.configurations import configurations, of_cell
from analysis.confirm import confirmed, mean_optimism
from analysis.importances import importances
from analysis.intervals import Interval, difference, mean_intervals
from analysis.load import load_epochs, load_histograms, load_study
from analysis.pareto import hypervolume, knee, pareto_front
from analysis.report import Study, read_study, write_report
from analysis.residual import judgements, with_verdicts
from analysis.scaling import against_retraining, power_laws, speed_up
from analysis.sensitivity import alpha_ablation, effects
from analysis.volumes import front_intervals, hypervolumes, method_differences
from sgu.results.schema import METRICS, SELECTABLE
