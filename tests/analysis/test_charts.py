"""Charts follow the grammar, show what they claim and can be written without a browser."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from analysis import (
    ablation_chart,
    alpha_ablation,
    alpha_chart,
    attainment_chart,
    confirm_chart,
    effect_chart,
    epochs_chart,
    front_chart,
    histograms_chart,
    hypervolume,
    hypervolume_chart,
    importance_chart,
    linked_chart,
    load_epochs,
    load_histograms,
    null_bands,
    of_cell,
    parallel_chart,
    save,
    scaling_chart,
    split_chart,
)
from analysis.charts.chart_parts import METHOD_COLOURS, METHOD_SHAPES
from analysis.charts.effects import ABLATION
from analysis.pareto import pareto_front
from analysis.sensitivity import effects
from sgu.results.schema import METRICS, TRIALS

THREE = ("val_acc", "val_mia_advantage", "seconds")


def marks(spec):
    """Return every mark's type in the order drawn."""
    return [layer["mark"]["type"] for layer in spec["layer"]]


def drawn(spec, *parts):
    """Return the rows that a part draws: its own, or else those of the chart around it."""
    data = next(part["data"] for part in (*reversed(parts), spec) if "data" in part)
    return json.loads(spec["datasets"][data["name"]])


@pytest.fixture
def two_methods(frame):
    """Return the study with a second method that is worse in each objective."""
    game = frame[frame["alpha"] > 0]
    worse = {name: game[name] + 0.01 for name in ("val_error", "val_mia_advantage")}
    return pd.concat([frame, game.assign(method="scrub", cell="digits/scrub", **worse)])


class TestFront:
    def test_layers(self, frame):
        spec = front_chart(frame).to_dict()
        assert marks(spec) == [
            *["rect"] * 2, "point", "line", "point", *["point"] * 2, *["text"] * 2,
        ]  # fmt: skip
        assert len(drawn(spec, spec["layer"][4])) == len(pareto_front(frame))
        names = [row["name"] for row in drawn(spec, spec["layer"][7])]
        assert names == ["original", "retrain", "sg, alpha 0"]
        counted, drawn_how = spec["title"]["subtitle"]
        assert "45 complete trials, 1 failed, 1 pruned" in counted
        assert "shaded: null band of 3 retrained models" in drawn_how

    def test_the_shades_are_the_null_band(self, frame):
        spec = front_chart(frame).to_dict()
        bands = null_bands(frame).set_index("metric")
        for layer, name in zip(spec["layer"], ("val_error", "val_mia_advantage"), strict=False):
            (shade,) = drawn(spec, layer)
            assert shade[name] == pytest.approx(bands.loc[name, "low"])
            assert shade["high"] == pytest.approx(bands.loc[name, "high"])

    @pytest.mark.parametrize(
        ("x", "step"), [("val_error", "step-after"), ("val_acc", "step-before")]
    )
    def test_the_step_line_never_claims_an_unreached_point(self, frame, x, step):
        spec = front_chart(frame, (x, "val_mia_advantage")).to_dict()
        (line,) = [layer for layer in spec["layer"] if layer["mark"]["type"] == "line"]
        assert line["mark"]["interpolate"] == step

    def test_three_objectives_are_projected_without_a_line(self, frame):
        spec = front_chart(frame, THREE).to_dict()
        assert "line" not in marks(spec)
        assert "projection of 3" in spec["title"]["text"]

    def test_axes_say_what_is_better(self, frame):
        encoding = front_chart(frame, THREE).to_dict()["layer"][2]["encoding"]
        assert encoding["x"]["axis"]["title"] == "validation accuracy (%, higher is better)"

    def test_methods_are_told_by_colour_and_by_shape(self, two_methods):
        spec = front_chart(two_methods).to_dict()
        encoding = spec["layer"][2]["encoding"]
        assert encoding["color"]["scale"]["domain"] == ["scrub", "sg"]
        assert encoding["shape"]["scale"]["range"] == list(METHOD_SHAPES[:2])
        assert len(set(METHOD_COLOURS)) == len(METHOD_COLOURS)
        rings = drawn(spec, spec["layer"][4])
        assert {row["method"] for row in rings} == {"scrub", "sg"}, "each has its own front"

    def test_data_sets_have_planes_of_their_own(self, frame):
        other = frame.assign(dataset="letters", cell=frame["cell"].str.replace("digits", "letters"))
        spec = front_chart(pd.concat([frame, other])).to_dict()
        titles = [panel["title"]["text"] for panel in spec["concat"]]
        assert titles == ["digits", "letters"]


def test_the_ring_of_alpha_0_is_wider_than_its_square(frame):
    spec = front_chart(frame).to_dict()
    (wide,) = spec["layer"][4]["encoding"]["size"]["condition"]
    assert "datum.alpha === 0" in json.dumps(wide["test"])
    assert wide["value"] > 2.5 * spec["layer"][6]["mark"]["size"]


def test_the_band_counts_the_models_of_one_panel(frame):
    other = frame.assign(dataset="letters", cell=frame["cell"].str.replace("digits", "letters"))
    two = pd.concat([frame, other])
    assert "band of 3 retrained models" in front_chart(two).to_dict()["title"]["subtitle"][1]
    more = other[other["method"] == "retrain"].assign(trial_id="retrain-9")
    note = front_chart(pd.concat([two, more])).to_dict()["title"]["subtitle"][1]
    assert "band of 3 to 6 retrained models" in note


def test_a_data_set_without_a_front_has_no_panel(frame):
    other = frame.assign(dataset="letters", cell="letters/sg", status="failed")
    spec = front_chart(pd.concat([frame, other])).to_dict()
    assert "concat" not in spec


@pytest.fixture
def seeded(frame):
    """Return the study with a second, slightly worse seed of every trial and a confirmed front."""
    game = frame[frame["alpha"] > 0]
    worse = {name: game[name] + 0.004 for name in ("val_error", "val_mia_advantage")}
    both = pd.concat([frame, game.assign(seed=1, **worse)], ignore_index=True)
    front = pareto_front(both)
    front = game[game["trial_id"].isin(front["trial_id"])]
    fresh = [
        front.assign(phase="confirm", seed=seed, val_error=front["val_error"] + 0.01)
        for seed in (2, 3)
    ]
    return pd.concat([both, *fresh], ignore_index=True)


def test_rings_of_one_seed_are_dashed_and_those_of_several_have_bars(frame, seeded):
    one, several = (front_chart(rows).to_dict() for rows in (frame, seeded))
    assert marks(one).count("rule") == 0
    assert marks(several).count("rule") == 2
    bars = pd.DataFrame(drawn(several, several["layer"][marks(several).index("rule")]))
    assert (bars["val_error_low"] <= bars["val_error"]).all()
    dash = json.dumps([layer["encoding"].get("strokeDash") for layer in one["layer"]])
    assert "datum.seeds === 1" in dash


def test_the_hypervolume_ends_where_the_front_is(seeded):
    spec = hypervolume_chart(seeded).to_dict()
    for panel, against in zip(spec["concat"], ("trials", "seconds"), strict=True):
        curve = pd.DataFrame(drawn(spec, panel, panel["layer"][0])).sort_values(against)
        assert curve["hypervolume"].is_monotonic_increasing
        assert curve["hypervolume"].iloc[-1] == pytest.approx(hypervolume(seeded))


def test_the_surface_of_few_seeds_is_never_behind_that_of_many(frame):
    game = frame[frame["alpha"] > 0]
    worse = {name: game[name] + 0.01 for name in ("val_error", "val_mia_advantage")}
    spec = attainment_chart(pd.concat([game, game.assign(seed=1, **worse)])).to_dict()
    rows = pd.DataFrame(drawn(spec, spec["layer"][0])).groupby("share of the seeds")
    assert set(rows.groups) == {"25 %", "50 %", "75 %"}
    half, every = (rows.get_group(f"{share} %") for share in (50, 75))
    front = pareto_front(game)
    assert half["val_error"].min() == pytest.approx(front["val_error"].min())
    assert every["val_error"].min() == pytest.approx(front["val_error"].min() + 0.01)
    assert attainment_chart(frame) is None, "one seed"


def test_confirmed_points_move_to_the_mean_of_fresh_seeds(seeded):
    spec = confirm_chart(seeded).to_dict()
    (panel,) = spec["concat"]
    rows = pd.DataFrame(drawn(spec, panel, panel["layer"][0]))
    moved = rows["val_error_confirmed"] - rows["val_error_searched"]
    assert moved.to_numpy() == pytest.approx(np.full(len(rows), 0.01 - 0.002))
    assert "worse on average by 0.80 % in val_error" in spec["title"]["subtitle"]
    better = seeded.assign(val_error=seeded["val_error"] - 0.02 * (seeded["phase"] == "confirm"))
    subtitle = confirm_chart(better).to_dict()["title"]["subtitle"]
    assert "better on average by 1.20 % in val_error" in subtitle


def test_two_studies_are_told_apart(seeded):
    two = pd.concat([seeded, seeded.assign(study="again")], ignore_index=True)
    names = ["again: digits/sg", "demo: digits/sg"]
    moved = confirm_chart(two).to_dict()
    assert [panel["title"]["text"] for panel in moved["concat"]] == names
    spec = hypervolume_chart(two).to_dict()
    curve = pd.DataFrame(drawn(spec, spec["concat"][0], spec["concat"][0]["layer"][0]))
    assert sorted(curve["cell"].unique()) == names
    assert not curve.duplicated(["cell", "trials"]).any()


def test_references_are_no_candidates_to_confirm(seeded):
    retrained = seeded[seeded["method"] == "retrain"].assign(phase="confirm", seed=9)
    spec = confirm_chart(pd.concat([seeded, retrained], ignore_index=True)).to_dict()
    assert len(spec["concat"]) == 1


def test_split_chart_marks_the_retrained_models(frame):
    spec = split_chart(frame).to_dict()
    retrained = frame[frame["method"] == "retrain"]
    assert marks(spec)[1:3] == ["rule", "rule"]
    for layer in spec["layer"][1:3]:
        (point,) = drawn(spec, layer)
        assert point["test_acc"] == pytest.approx(retrained["test_acc"].mean())


def test_effects_have_a_panel_for_each_setting_and_objective(frame):
    """The fixture's configurations differ in alpha alone."""
    spec = effect_chart(frame, THREE).to_dict()
    assert len(spec["concat"]) == len(THREE)
    assert "n = 36" in spec["title"]["subtitle"][0]
    curves = effects(frame, THREE, ["alpha"]).set_index(["metric", "middle"])["mean"]
    for panel, name in zip(spec["concat"], THREE, strict=True):
        (line,) = [layer for layer in panel["layer"] if layer["mark"]["type"] == "line"]
        for row in drawn(spec, panel, line):
            assert row[name] == pytest.approx(curves[name, row["alpha"]])


def test_importances_are_the_shares_of_what_was_searched(frame):
    spec = importance_chart(frame).to_dict()
    rows = pd.DataFrame(drawn(spec, spec["concat"][0]))
    assert rows.groupby("metric")["importance"].sum().tolist() == pytest.approx([1, 1])
    assert set(rows["parameter"]) == {"alpha"}


def test_the_ablation_has_a_panel_for_what_alpha_trades(frame):
    spec = alpha_chart(frame).to_dict()
    titles = [panel["title"]["text"] for panel in spec["concat"]]
    assert titles == [METRICS[name].title for name in ABLATION]
    bands = null_bands(frame).set_index("metric")
    (shade,) = drawn(spec, spec["concat"][0], spec["concat"][0]["layer"][0])
    assert shade["test_acc"] == pytest.approx(bands.loc["test_acc", "low"])


def test_the_ablation_draws_the_mean_of_each_alpha(frame):
    """All trials of the fixture differ in alpha alone; one of another recipe is left out."""
    other = frame[frame["alpha"] > 0].head(1).assign(trial_id="x", config='{"lr": 9}', alpha=9.0)
    spec = ablation_chart(pd.concat([frame, other]), THREE).to_dict()
    means = alpha_ablation(frame, THREE).set_index(["metric", "alpha"])["mean"]
    for panel, name in zip(spec["concat"], THREE, strict=True):
        (line,) = [layer for layer in panel["layer"] if layer["mark"]["type"] == "line"]
        rows = drawn(spec, panel, line)
        assert [row["alpha"] for row in rows] == sorted(
            frame.loc[frame["alpha"] > 0, "alpha"].unique()
        )
        for row in rows:
            assert row[name] == pytest.approx(means[name, row["alpha"]])


def test_sizes_are_drawn_against_what_their_sweep_varied(frame):
    run = frame[frame["alpha"] > 0].head(1).assign(phase="scaling")
    rows = [
        run.assign(dataset=f"{sweep}-{value}", method=method, **{column: value})
        for sweep, column in (("subset", "train_examples"), ("workers", "workers"))
        for value in (1, 2, 4)
        for method in ("sg", "retrain")
    ]
    spec = scaling_chart(pd.concat(rows)).to_dict()
    titles = [panel["title"]["text"] for panel in spec["concat"]]
    assert titles == ["train examples"] * 2 + ["trials at a time"] * 2
    for panel in spec["concat"]:
        assert len(drawn(spec, panel, panel["layer"][0])) == 6
    with pytest.raises(ValueError, match="`sgu-study scaling` runs a sweep"):
        scaling_chart(frame)


def test_parallel_lines_lie_between_their_axes_ends(frame):
    spec = parallel_chart(frame).to_dict()
    rows = pd.DataFrame(drawn(spec, spec["layer"][0]))
    names = spec["layer"][0]["transform"][0]["fold"]
    assert names[0] == "alpha|"
    assert rows[names].min().tolist() == [0] * len(names)
    assert rows[names].max().tolist() == [1] * len(names)
    order = rows.sort_values("val_error")["val|error|% ↓"]
    assert order.is_monotonic_increasing


def test_linked_charts_share_one_brush(frame):
    spec = linked_chart(frame).to_dict()
    text = json.dumps({key: value for key, value in spec.items() if key != "datasets"})
    assert text.count('{"param": "brush"}') == 3, "two effects and the lines"
    assert {parameter["name"] for parameter in spec["params"]} == {"brush", "gate"}


def test_a_linked_chart_is_of_one_cell(two_methods):
    with pytest.raises(ValueError, match=r"of 2 cells \(digits/scrub, .*: give the rows of one"):
        linked_chart(two_methods)
    assert linked_chart(of_cell(two_methods, "digits/scrub")).to_dict()


def test_histograms_show_the_controls_and_the_front(study, frame):
    spec = histograms_chart(load_histograms(study), frame).to_dict()
    titles = [panel["title"]["text"] for panel in spec["concat"]]
    headings = spec["concat"][0]["title"]
    assert (headings["text"], headings["subtitle"]) == (
        "sg, alpha 0", "forget n = 400, test n = 800",
    )  # fmt: skip
    assert len(titles) <= 8
    for panel in spec["concat"]:
        rows = pd.DataFrame(drawn(spec, panel)).drop_duplicates(["split", "high"])
        assert rows.groupby("split")["share"].sum().tolist() == pytest.approx([1, 1])


def test_epochs_draw_what_was_measured(study, frame):
    epochs = load_epochs(study).assign(utility=np.nan)
    titles = [panel["title"]["text"] for panel in epochs_chart(epochs, frame).to_dict()["concat"]]
    assert titles == [METRICS["val_error"].title, METRICS["val_mia_advantage"].title,
                      "training loss"]  # fmt: skip


def test_trials_of_two_cells_that_share_an_id_are_two(synthetic):
    generator = np.random.default_rng(0)
    rows = [
        synthetic.trial(
            f"{number:04d}", cell=cell, method=method,
            **synthetic.measured(generator, 0.1 + 0.1 * number, 0.3 - 0.1 * number),
        )
        for cell, method in (("digits/scrub", "scrub"), ("digits/salun", "salun"))
        for number in range(3)
    ]  # fmt: skip
    frame = pa.Table.from_pylist(rows, schema=TRIALS).to_pandas()
    bins = pd.DataFrame(synthetic.loss_rows(rows)).assign(phase="search")
    titles = [panel["title"]["text"] for panel in histograms_chart(bins, frame).to_dict()["concat"]]
    assert len(titles) == len(set(titles)) == 6
    assert titles[0] == "trial 0000, digits/salun"
    epochs = pd.DataFrame(synthetic.epoch_rows(rows))
    (panel, *_) = epochs_chart(epochs, frame).to_dict()["concat"]
    fields = [channel["field"] for channel in panel["encoding"]["detail"]]
    assert fields == ["study", "cell", "trial_id"]


@pytest.mark.parametrize("case", ["candidates only", "one trial", "no game at all"])
def test_sparse_studies_are_drawn(frame, tmp_path, case):
    game = frame[frame["alpha"] > 0]
    other = game.head(5).assign(alpha=np.nan, reg=np.nan, method="scrub")
    rows = {"candidates only": game, "one trial": game.head(1), "no game at all": other}
    for chart in (front_chart(rows[case]), split_chart(rows[case]), linked_chart(rows[case])):
        assert save(chart, tmp_path / "x.svg").stat().st_size > 0


@pytest.mark.long
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


@pytest.mark.long
def test_more_rows_than_a_default_limit(frame):
    game = frame[frame["alpha"] > 0]
    many = [game.assign(trial_id=game["trial_id"] + f"-{copy}") for copy in range(150)]
    spec = front_chart(pd.concat(many)).to_dict()
    assert len(drawn(spec, spec["layer"][0])) == 36 * 150
