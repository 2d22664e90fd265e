"""Figures of a study in one grammar: interactive in a notebook and on a page, or as PNG and SVG."""

from analysis.charts.attainment import attainment_chart
from analysis.charts.confirm import confirm_chart
from analysis.charts.curves import epochs_chart, hypervolume_chart
from analysis.charts.effects import ablation_chart, alpha_chart, effect_chart, importance_chart
from analysis.charts.front import front_chart, split_chart
from analysis.charts.linked import linked_chart
from analysis.charts.losses import losses_chart
from analysis.charts.parallel import parallel_chart
from analysis.charts.saving import save
from analysis.charts.scaling import scaling_chart

__all__ = [
    "ablation_chart",
    "alpha_chart",
    "attainment_chart",
    "confirm_chart",
    "effect_chart",
    "epochs_chart",
    "front_chart",
    "hypervolume_chart",
    "importance_chart",
    "linked_chart",
    "losses_chart",
    "parallel_chart",
    "save",
    "scaling_chart",
    "split_chart",
]
