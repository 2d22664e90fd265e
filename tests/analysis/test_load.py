"""Rows come back as written, unusable files are named, and a resumed trial keeps one row."""

import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import FileSystem, LocalFileSystem, SubTreeFileSystem

from analysis import load_epochs, load_study, read_study
from sgu.results.schema import EPOCHS, TRIALS


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
    """Write unusable files into a folder and return their names."""
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


def test_half_written_files_are_ignored(study, recwarn, synthetic):
    (study / "trials" / "_part.parquet").write_bytes(b"half")
    assert len(load_study(study)) == len(synthetic.study_rows())
    assert not recwarn.list


def test_no_study_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no trials in .*x: run `sgu-study run SPEC`"):
        load_study(tmp_path / "x")


def test_no_folder_says_what_to_give():
    with pytest.raises(ValueError, match="no folder given: expected a study's, such as"):
        load_study([])


def test_only_unusable_files_say_so(tmp_path, synthetic):
    strange_files(tmp_path / "trials", synthetic)
    with (
        pytest.warns(UserWarning, match="set aside"),
        pytest.raises(FileNotFoundError, match=r"no readable trials .* 6 file\(s\)"),
    ):
        load_study(tmp_path)


def test_several_studies_are_read_as_one(study, tmp_path, synthetic):
    rows = [synthetic.trial(name, study="other") for name in "ba"]
    synthetic.write_rows(tmp_path / "other" / "trials", "p.parquet", rows, TRIALS)
    frame = load_study([study, str(tmp_path / "other")])
    assert len(frame) == len(synthetic.study_rows()) + 2
    assert list(frame["study"].unique()) == ["demo", "other"]
    assert list(frame["trial_id"][-2:]) == ["a", "b"]


def test_two_studies_of_one_name_are_not_mixed(study, tmp_path, synthetic):
    synthetic.write_rows(tmp_path / "p" / "trials", "p.parquet", [synthetic.trial("a")], TRIALS)
    with pytest.raises(ValueError, match=r"both .*demo and .*p hold a study 'demo'"):
        load_study([study, tmp_path / "p"])


def test_an_address_or_a_filesystem_is_read_like_a_folder(study):
    expected = load_study(study)
    assert load_study(f"file://{study}").equals(expected)
    inside = SubTreeFileSystem(str(study.parent), LocalFileSystem())
    assert load_study("demo", inside).equals(expected)


def test_a_store_in_memory_is_read(study):
    store, _ = FileSystem.from_uri("mock:///")
    store.create_dir("bucket/demo/trials")
    for file in (study / "trials").iterdir():
        with store.open_output_stream(f"bucket/demo/trials/{file.name}") as to:
            to.write(file.read_bytes())
    assert load_study("bucket/demo", store).equals(load_study(study))


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_of_an_earlier_schema_version_is_set_aside(study, synthetic, version):
    earlier = pa.schema([field for field in TRIALS if field.name not in ("cell", "phase")])
    row = synthetic.trial("a", schema_version=version)
    synthetic.write_rows(study / "trials", "old.parquet", [row], earlier)
    reason = rf"old.parquet is set aside: written by schema version {version}, this code reads 3"
    with pytest.warns(UserWarning, match=reason):
        assert len(load_study(study)) == len(synthetic.study_rows())


def test_rows_come_in_the_order_of_their_key(tmp_path, synthetic):
    generator = np.random.default_rng(0)
    keys = [(cell, f"{n}", seed) for cell in ("b", "a") for n in (10, 9, 2) for seed in (1, 0)]
    for part, at in enumerate(np.array_split(generator.permutation(len(keys)), 4)):
        rows = [synthetic.trial(keys[i][1], cell=keys[i][0], seed=keys[i][2]) for i in at]
        synthetic.write_rows(tmp_path / "trials", f"{part}.parquet", rows, TRIALS)
    frame = load_study(tmp_path)
    assert list(zip(frame["cell"], frame["trial_id"], frame["seed"], strict=True)) == sorted(keys)


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_is_never_fatal(tmp_path, synthetic, seed):
    """With bytes overwritten anywhere in a file with checksums, the rows are as they were, value by
    value, or the file is named."""
    generator = np.random.default_rng(seed)
    table = pa.Table.from_pylist(synthetic.study_rows(), schema=TRIALS)
    damaged = tmp_path / "trials" / "z.parquet"
    damaged.parent.mkdir()
    pq.write_table(table, damaged, write_page_checksum=True)
    expected = load_study(tmp_path)
    content = bytearray(damaged.read_bytes())
    length = int(generator.choice([1, 4, 40]))
    at = generator.integers(len(content) - length)
    content[at : at + length] = generator.bytes(length)
    damaged.write_bytes(content)
    synthetic.write_rows(tmp_path / "trials", "a.parquet", [synthetic.trial("whole")], TRIALS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = load_study(tmp_path)
    assert all("z.parquet is set aside: " in str(warning.message) for warning in caught)
    rest = found[found["trial_id"] != "whole"].reset_index(drop=True)
    assert len(rest) == 0 if caught else rest.equals(expected)


def test_a_column_name_that_is_no_text_is_named(tmp_path, synthetic):
    """Arrow reports this damage as a UnicodeDecodeError."""
    rows = [synthetic.trial("a")]
    damaged = synthetic.write_rows(tmp_path / "trials", "z.parquet", rows, TRIALS)
    content = damaged.read_bytes()
    damaged.write_bytes(content.replace(b"wall_seconds", b"\xff\xfe" * 6))
    synthetic.write_rows(tmp_path / "trials", "a.parquet", rows, TRIALS)
    with pytest.warns(UserWarning, match="z.parquet is set aside: "):
        assert len(load_study(tmp_path)) == 1


@pytest.mark.parametrize(
    ("part", "field", "other"),
    [("epochs", "epochs", "histograms"), ("losses", "histograms", "epochs")],
)
def test_a_study_is_read_without_a_part_that_cannot_be(study, part, field, other):
    (damaged,) = (study / part).iterdir()
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="is set aside") as caught:
        found = read_study(study)
    assert [damaged.name in str(warning.message) for warning in caught] == [True]
    assert getattr(found, field) is None
    assert getattr(found, other) is not None
    assert len(found.frame) == len(load_study(study))
