"""Figures of a study in one grammar: interactive in a notebook and on a page, or as PNG and SVG."""

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
