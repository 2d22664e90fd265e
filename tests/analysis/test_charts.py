"""Charts follow the grammar, show what they claim and can be written without a browser."""

import numpy as np
import pandas as pd
import pytest

from analysis import effect_chart, epochs_chart, front_chart, load_epochs, save, split_chart
from analysis.charts import SWEPT
from analysis.pareto import pareto_front
from analysis.schema import METRICS

THREE = ("val_acc", "val_mia_advantage", "seconds")


def marks(spec):
    """Every mark's type in the order drawn."""
    return [layer["mark"]["type"] for layer in spec["layer"]]


def drawn(spec, layer):
    """The rows a layer draws."""
    return spec["datasets"][spec["layer"][layer]["data"]["name"]]


def test_front_chart_has_a_step_line_rings_and_labelled_controls(frame):
    spec = front_chart(frame).to_dict()
    assert marks(spec) == ["circle", "line", "point", "point", "text", "text", "point"]
    assert len(drawn(spec, -1)) == len(pareto_front(frame))
    names = [row["name"] for row in drawn(spec, 3)]
    assert names == ["original", "retrain", "sg, alpha 0"]
    assert "45 complete trials, 1 failed, 1 pruned" in spec["title"]["subtitle"]


@pytest.mark.parametrize(("x", "step"), [("val_error", "step-after"), ("val_acc", "step-before")])
def test_the_step_line_never_claims_an_unreached_point(frame, x, step):
    spec = front_chart(frame, (x, "val_mia_advantage")).to_dict()
    assert spec["layer"][1]["mark"]["interpolate"] == step


def test_three_objectives_are_projected_without_a_line(frame):
    spec = front_chart(frame, THREE).to_dict()
    assert "line" not in marks(spec)
    assert "projection of 3" in spec["title"]["text"]


def test_axes_say_what_is_better(frame):
    encoding = front_chart(frame, THREE).to_dict()["layer"][0]["encoding"]
    assert encoding["x"]["axis"]["title"] == "validation accuracy (%, higher is better)"


def test_split_chart_marks_the_retrained_models(frame):
    spec = split_chart(frame).to_dict()
    retrained = frame[frame["method"] == "retrain"]
    assert marks(spec)[1:3] == ["rule", "rule"]
    for layer in (1, 2):
        (point,) = drawn(spec, layer)
        assert point["test_acc"] == pytest.approx(retrained["test_acc"].mean())


def test_effects_have_a_panel_for_each_parameter_and_objective(frame):
    spec = effect_chart(frame, THREE).to_dict()
    assert len(spec["concat"]) == len(THREE) * len(SWEPT)


def test_epochs_draw_what_was_measured(study, frame):
    epochs = load_epochs(study).assign(utility=np.nan)
    titles = [panel["title"]["text"] for panel in epochs_chart(epochs, frame).to_dict()["concat"]]
    assert titles == [METRICS["val_error"].title, METRICS["val_mia_advantage"].title,
                      "training loss"]  # fmt: skip


@pytest.mark.parametrize("kind", ["candidates only", "one trial", "no game at all"])
def test_sparse_studies_are_drawn(frame, tmp_path, kind):
    game = frame[frame["alpha"] > 0]
    other = game.head(5).assign(alpha=np.nan, reg=np.nan, method="scrub")
    rows = {"candidates only": game, "one trial": game.head(1), "no game at all": other}
    for chart in (front_chart(rows[kind]), split_chart(rows[kind]), effect_chart(rows[kind])):
        assert save(chart, tmp_path / "x.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<svg"), ("html", b"<!DOCTYPE html>")]
)
def test_save_by_suffix(frame, tmp_path, suffix, start):
    path = save(front_chart(frame), tmp_path / f"front.{suffix}")
    assert path.read_bytes().lstrip().startswith(start)
    assert b"src=" not in path.read_bytes()[:2000]


def test_save_refuses_another_suffix(frame, tmp_path):
    with pytest.raises(ValueError, match=r"front.gif: end it in \.png"):
        save(front_chart(frame), tmp_path / "front.gif")


def test_more_rows_than_a_default_limit(frame):
    many = pd.concat([frame] * 150, ignore_index=True)
    assert len(drawn(front_chart(many).to_dict(), 0)) > 5000
