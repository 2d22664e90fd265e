"""What is written comes back; what cannot be used is named; of a resumed trial one row is left."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import load_epochs, load_study
from analysis.schema import EPOCHS, TRIALS


def test_round_trip(study, synthetic):
    frame = load_study(study)
    expected = pa.Table.from_pylist(synthetic.study_rows(), schema=TRIALS).to_pandas()
    expected = expected.sort_values("trial_id", ignore_index=True)
    assert list(frame.columns) == TRIALS.names
    assert frame.equals(expected)


def test_epochs_round_trip(study, synthetic):
    epochs = load_epochs(str(study))
    assert list(epochs.columns) == EPOCHS.names
    assert len(epochs) == len(synthetic.epoch_rows(synthetic.study_rows()))


@pytest.mark.parametrize(
    ("attempts", "kept"),
    [
        (["failed", "complete"], 1),
        (["complete", "failed"], 0),
        (["pruned", "failed"], 1),
        (["complete", "failed", "complete"], 2),
    ],
)
def test_last_attempt_is_kept_a_complete_one_first(tmp_path, attempts, kept, synthetic):
    rows = [synthetic.trial("a", attempt=n, status=status) for n, status in enumerate(attempts)]
    for row in rows:
        synthetic.write_rows(tmp_path / "trials", f"{9 - row['attempt']}.parquet", [row], TRIALS)
    frame = load_study(tmp_path)
    assert list(frame["attempt"]) == [kept]


def test_each_epoch_comes_from_its_last_attempt(tmp_path, synthetic):
    row = synthetic.trial("a", val_error=0.1, val_mia_advantage=0.1)
    first = synthetic.epoch_rows([row], epochs=3)
    resumed = [point | {"attempt": 1} for point in synthetic.epoch_rows([row], epochs=4)[2:]]
    synthetic.write_rows(tmp_path / "epochs", "a.parquet", resumed + first, EPOCHS)
    epochs = load_epochs(tmp_path)
    assert list(epochs["epoch"]) == [1, 2, 3, 4]
    assert list(epochs["attempt"]) == [0, 0, 1, 1]


def strange_files(folder, synthetic):
    """Name and problem of files that are not ours, as they may come to lie in a study."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "noise.parquet").write_bytes(b"not parquet")
    whole = synthetic.write_rows(folder, "cut.parquet", [synthetic.trial("b")], TRIALS).read_bytes()
    (folder / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    pq.write_table(pa.table({"a": [1]}), folder / "foreign.parquet")
    synthetic.write_rows(folder, "newer.parquet", [synthetic.trial("c", schema_version=99)], TRIALS)
    synthetic.write_rows(folder, "status.parquet", [synthetic.trial("d", status="running")], TRIALS)
    words = pa.Table.from_pylist([synthetic.trial("e")], schema=TRIALS)
    at = words.schema.get_field_index("alpha")
    pq.write_table(words.set_column(at, "alpha", pa.array(["high"])), folder / "typed.parquet")
    return ["cut", "foreign", "newer", "noise", "status", "typed"]


def test_unusable_files_are_named_once_each_and_set_aside(study, synthetic):
    names = strange_files(study / "trials", synthetic)
    with pytest.warns(UserWarning, match="is set aside") as caught:
        frame = load_study(study)
    assert len(frame) == len(synthetic.study_rows())
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == len(names)
    for name, message in zip(names, messages, strict=True):
        assert f"{name}.parquet is set aside: " in message
        assert "\n" not in message


def test_a_study_of_schema_version_1_is_read(tmp_path, synthetic, recwarn):
    """As the version before wrote it: random forgetting alone, and `retain_loss`."""
    later = {"scenario", "requests", "forget_fraction"}
    schema = pa.schema([field for field in TRIALS if field.name not in later])
    row = synthetic.trial("a", schema_version=1, alpha=0.5)
    synthetic.write_rows(tmp_path / "trials", "a.parquet", [row], schema)
    epochs = pa.schema([field for field in EPOCHS if field.name != "train_loss"])
    epochs = epochs.append(pa.field("retain_loss", pa.float64()))
    point = {"schema_version": 1, "study": "demo", "trial_id": "a", "attempt": 0, "epoch": 0}
    synthetic.write_rows(tmp_path / "epochs", "a.parquet", [point | {"retain_loss": 0.7}], epochs)
    (read,) = load_study(tmp_path).to_dict("records")
    assert (read["alpha"], read["scenario"], read["requests"]) == (0.5, "random", 1)
    assert load_epochs(tmp_path)["train_loss"].tolist() == [0.7]
    assert not recwarn.list


def test_half_written_files_are_ignored(study, recwarn, synthetic):
    (study / "trials" / "_part.parquet").write_bytes(b"half")
    assert len(load_study(study)) == len(synthetic.study_rows())
    assert not recwarn.list


def test_no_study_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no trials in .*x: run `sgu-study run SPEC`"):
        load_study(tmp_path / "x")


def test_only_unusable_files_say_so(tmp_path, synthetic):
    strange_files(tmp_path / "trials", synthetic)
    with (
        pytest.warns(UserWarning, match="set aside"),
        pytest.raises(FileNotFoundError, match=r"no readable trials .* 6 file\(s\)"),
    ):
        load_study(tmp_path)
