"""The page's first screen answers in words what the numbers say."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from analysis import Study, read_study, residual_chart
from analysis.cli import app
from analysis.report.answer import answer
from analysis.report.comparisons import comparisons
from sgu.results.schema import TRIALS

OBJECTIVES = ("val_error", "val_mia_advantage")
WORDS = {
    "like": "like retrained", "undecided": "undecided", "remembers": "remembers",
    "over": "over-forgotten",
}  # fmt: skip


def test_two_sentences_say_what_was_forgotten_and_what_it_cost(judged):
    """t_4 = 2.776, s = .0474, so the interval is +- 2.776 s sqrt(1 + 1/5) = .144."""
    found = answer(Study(judged), "digits")
    assert found["forgot"] == (
        "Yes, as far as 5 retrained models can tell: trial like, sg with alpha 0.1, is like "
        "retrained, with 0 % (-14 to 14) of its memory left, shown to be within ±20 %."
    )
    assert found["cost"] == (
        "On val it is 2.0 points worse than retrained models (60.00 beside 62.00 %), in 0.40 of "
        "the time of retraining; before you use it, have it audited: sgu-report choose demo "
        "--audit."
    )


def test_without_a_choice_the_nearest_and_what_would_decide_it_are_named(judged):
    found = answer(Study(judged[judged["trial_id"] != "like"]), "digits")
    assert found["forgot"].startswith("Not shown: of 3 trials none is shown to be like retrained;")
    assert (
        "trial undecided, sg with alpha 0.2, is undecided, with 12 % (-2 to 26)" in found["forgot"]
    )
    assert "none of them may be used yet. " in found["cost"]
    assert found["cost"].endswith("More seeds would decide it: retrained models alone would not.")
    assert "command" not in found


def test_without_verdicts_it_says_why(frame):
    found = answer(Study(frame), "digits")
    assert found["forgot"] == "Not known: there is no verdict."
    assert found["cost"] == "No verdict: 1 retrained models; need 3 or more."


@pytest.mark.parametrize(
    ("verdict", "said"),
    [("like retrained", "which confirms it."), ("remembers", "so do not use it yet.")],
)
def test_an_audit_of_the_choice_is_read(synthetic, tmp_path, verdict, said):
    synthetic.write_rows(tmp_path / "trials", "part.parquet", synthetic.judged_rows(), TRIALS)
    folder = tmp_path / "certificate/trial-like-123456"
    folder.mkdir(parents=True)
    row = {"model": "trial-like", "kind": "residual", "name": "joint", "verdict": verdict}
    numbers = {"value": 0.05, "low": -0.1, "high": 0.19}
    pd.DataFrame([row | numbers]).to_parquet(folder / "rows.parquet")
    found = answer(read_study(tmp_path), "digits")
    assert f"its audit by fresh networks says {verdict} (5 %, -10 to 19), {said}" in found["cost"]


def test_every_trial_is_drawn_where_its_memory_is_and_the_choice_is_named(judged):
    spec = residual_chart(judged, ("digits/sg", "like")).to_dict()
    data = [json.loads(text) for text in spec["datasets"].values()]
    (trials,) = [rows for rows in data if "residual_low" in rows[0]]
    assert {row["trial_id"]: row["verdict"] for row in trials} == WORDS
    kept = {row["trial_id"]: row["residual"] for row in trials}
    assert kept == pytest.approx({"like": 0, "undecided": 0.12, "remembers": 0.6, "over": -0.6})
    assert {"zero": 0.0, "low": -0.2, "high": 0.2} in [row for rows in data for row in rows]
    assert "choice: like" in str(data)


def test_fresh_seeds_have_verdicts_of_their_own(synthetic):
    searched = synthetic.judged_rows()
    fresh = [
        row | {"phase": "confirm"}
        for seed in (1, 2) for row in synthetic.judged_rows(seed)
        if row["trial_id"] in ("like", "original") or row["method"] == "retrain"
    ]  # fmt: skip
    (table,) = comparisons(synthetic.frame(*searched, *fresh), OBJECTIVES)
    assert table.name == "fresh"
    (row,) = table.rows
    assert row[:4] == ["like", "digits/sg", "like retrained", "like retrained"]
    assert row[5] == "2"
    assert "5 retrained models see" in table.note


def test_json_and_csv_have_the_verdict_of_each_row(synthetic, tmp_path):
    synthetic.write_rows(tmp_path / "demo/trials", "part.parquet", synthetic.judged_rows(), TRIALS)
    words = ["front", "demo", "--results", str(tmp_path), "--objectives", ",".join(OBJECTIVES)]
    result = CliRunner().invoke(app, [*words, "--json"])
    front = json.loads(result.stdout)["front"]
    assert {row["trial_id"]: row["verdict"] for row in front} == {
        name: WORDS[name] for name in (row["trial_id"] for row in front)
    }
    assert all(row["residual_low"] < row["residual"] < row["residual_high"] for row in front)
    header = CliRunner().invoke(app, [*words, "--csv"]).stdout.splitlines()[0]
    assert header.endswith("verdict,residual,residual_low,residual_high,verdict_text")
