"""The controls' means by hand; sentences about seeds are true of the rows."""

import io

import pandas as pd
import pytest
from rich.console import Console

from analysis.configurations import configurations
from analysis.formats import metric_text, plain_text
from analysis.summary import controls, counts, notes, seeds_line
from analysis.table import front_table

PAIR = ("val_error", "val_mia_advantage")


def printed(frame, width=100):
    text = io.StringIO()
    Console(file=text, width=width, highlight=False).print(front_table(frame, width=width))
    return text.getvalue()


def test_controls_are_means_with_spreads(synthetic):
    rows = [
        synthetic.trial(str(error), method="retrain", val_error=error) for error in (0.1, 0.2, 0.3)
    ]
    rows += [
        synthetic.trial("z", alpha=0.0, val_error=0.4),
        synthetic.trial("f", method="retrain", status="failed"),
    ]
    table = controls(synthetic.frame(*rows), ["val_error"])
    assert list(table["name"]) == ["retrain", "sg, alpha 0"]
    assert list(table["runs"]) == [3, 1]
    assert list(table["val_error"]) == pytest.approx([0.2, 0.4])
    assert table["val_error_spread"][0] == pytest.approx(0.1)
    assert pd.isna(table["val_error_spread"][1])


def test_no_controls_give_an_empty_table(synthetic):
    assert controls(synthetic.frame(synthetic.trial("a", alpha=1.0)), ["val_error"]).empty


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ((1, 1), "its spread is not known"),
        ((2, 2), "the mean over 2 seeds"),
        ((3, 1), "the mean over its seeds, 1 to 3"),
    ],
)
def test_what_is_said_of_seeds(synthetic, seeds, said):
    rows = [
        synthetic.trial(f"t{number}", alpha=0.1 + number, seed=seed)
        for number, count in enumerate(seeds)
        for seed in range(count)
    ]
    assert said in seeds_line(configurations(synthetic.frame(*rows)))


def test_a_trial_of_several_seeds_counts_once(synthetic):
    rows = [synthetic.trial("a", alpha=1.0, seed=seed) for seed in range(3)]
    rows.append(synthetic.trial("b", alpha=1.0, seed=0, phase="confirm"))
    assert counts(synthetic.frame(*rows)) == {"complete": 1, "failed": 0, "pruned": 0}


def test_notes_count_everything_and_name_the_reference_point(frame):
    text = " ".join(notes(frame, PAIR))
    assert "45 complete trials, 1 failed, 1 pruned" in text
    assert "reference point val_error = 1, val_mia_advantage = 1" in text


def test_the_table_reads_on_a_hundred_columns(frame):
    text = printed(frame)
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text
    for word in ("original", "retrain", "3 runs", "a1b2c_00028", "Hypervolume", "objective"):
        assert word in text


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_table_leaves_out_what_it_names(frame, width):
    text = printed(frame, width)
    assert "…" not in text
    table = text.split("Hypervolume")[0]
    assert max(map(len, table.splitlines())) <= width
    assert "Too narrow here for" in text
    assert "game_seconds" in text


def test_verdicts_stand_in_words_beside_the_residual_memory(judged):
    text = printed(judged)
    assert "null band" in text
    lines = text.splitlines()
    at = next(n for n, line in enumerate(lines) if "over-" in line)
    assert lines[at].split()[:3] == ["over", "over-", "-60"]
    assert lines[at + 1].split() == ["forgotten", "-76", "to", "-44"]
    assert "5 retrained models see a residual memory of 14 % or more, beside a margin" in text


def test_where_there_is_no_verdict_the_notes_say_why(frame):
    assert "No verdict: 1 retrained models; need 3 or more." in notes(frame, PAIR)


def test_cells_are_grouped(frame):
    other = frame.assign(dataset="letters", cell=frame["cell"].str.replace("digits", "letters"))
    text = printed(pd.concat([frame, other], ignore_index=True))
    assert text.index("digits/sg") < text.index("letters/sg")
    assert text.count("Hypervolume") == 2


def test_values_are_written_for_people():
    assert metric_text("val_error", 0.06325) == "6.33"
    assert metric_text("seconds", 42.04) == "42.0"
    assert metric_text("val_error", float("nan")) == "–"
    assert [plain_text(value) for value in (1e-06, 0.25, 50, None)] == ["1e-6", "0.25", "50", "–"]
