"""Sets of Parquet tables: the places of their shards, and the errors for incomplete sets."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from pyarrow.fs import FileSystem, LocalFileSystem, SubTreeFileSystem

from sgu.data.sources import Source, load_source
from sgu.files import location
from sgu.files.errors import DataError


def encoded(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write(path: Path, seed: int, names: tuple[str, ...] = ("cat", "dog")) -> None:
    """Write a shard of 4 rows and 2 classes, its images as plain bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = pa.array([encoded(10 * seed + row) for row in range(4)], pa.binary())
    table = pa.table({"image": images, "label": pa.array([0, 1, 0, 1])})
    features = {"label": {"names": names, "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(metadata), path)


@pytest.fixture
def folder(tmp_path) -> Path:
    for seed, name in enumerate(("train-00000-of-00002", "train-00001-of-00002", "test-0")):
        write(tmp_path / "tables" / f"{name}.parquet", seed)
    return tmp_path / "tables"


def same(one: Source, other: Source) -> bool:
    return torch.equal(one.train.inputs, other.train.inputs) and (
        one.fingerprint,
        one.classes,
    ) == (other.fingerprint, other.classes)


def test_plain_bytes_and_class_names_are_read(folder):
    source = load_source(str(folder))
    with Image.open(io.BytesIO(encoded(13))) as image:  # the last of shard 1
        assert np.array_equal(source.train.inputs[7].permute(1, 2, 0).numpy(), np.asarray(image))
    assert (source.classes, len(source.train), len(source.heldout)) == (("cat", "dog"), 8, 4)


def test_the_subfolder_data_and_an_address_of_a_file_give_the_same(folder, tmp_path):
    source = load_source(str(folder))
    shutil.copytree(folder, tmp_path / "hub" / "data")
    assert same(load_source(str(tmp_path / "hub")), source)
    assert same(load_source(folder.as_uri()), source)
    assert same(load_source(f"{folder}/"), source)


def test_validation_is_held_out_only_where_there_is_no_test(folder):
    heldout = load_source(str(folder)).heldout
    write(folder / "validation-0.parquet", 7)
    assert torch.equal(load_source(str(folder)).heldout.inputs, heldout.inputs)
    (folder / "test-0.parquet").unlink()
    assert not torch.equal(load_source(str(folder)).heldout.inputs, heldout.inputs)
    (folder / "validation-0.parquet").unlink()
    with pytest.raises(DataError, match=r"tables: no test-\*\.parquet or validation-\*\.parquet"):
        load_source(str(folder))


def test_a_store_that_is_no_folder_of_this_machine(folder):
    """Arrow's own interface to a store in memory."""
    store, path = FileSystem.from_uri("fsspec+memory://bucket/tables")
    store.create_dir(path)
    for file in folder.iterdir():
        with store.open_output_stream(f"{path}/{file.name}") as stream:
            stream.write(file.read_bytes())
    source = load_source(str(folder))
    assert same(load_source("fsspec+memory://bucket/tables"), source)
    with store.open_output_stream(f"{path}/test-0.parquet") as stream:
        stream.write(b"PAR1 torn")
    with pytest.raises(DataError, match=r"memory://bucket/tables/test-0\.parquet: not a readable"):
        load_source("fsspec+memory://bucket/tables")
    with pytest.raises(DataError, match="elsewhere: no such folder or source"):
        load_source("fsspec+memory://bucket/elsewhere")


def test_an_address_is_read_through_the_file_system_that_arrow_gives(folder, monkeypatch):
    addresses = []

    class Stores:
        @staticmethod
        def from_uri(uri: str):
            addresses.append(uri)
            return SubTreeFileSystem(str(folder.parent), LocalFileSystem()), "tables"

    monkeypatch.setattr(location, "FileSystem", Stores)
    assert same(load_source("gs://bucket/tables?scheme=https"), load_source(str(folder)))
    # without a limit, Arrow asks an unreachable store of this kind for 15 minutes
    assert addresses == ["gs://bucket/tables?scheme=https&retry_limit_seconds=30"]


@pytest.mark.parametrize(
    "address", ["ftp://host/tables", "file://relative", "hdfs://127.0.0.1:9/tables"]
)
def test_an_unreachable_address_is_one_error(address):
    with pytest.raises(DataError, match=r"^\w+://.*: cannot be reached \(.*\): check the address"):
        load_source(address)


def test_the_secret_in_an_address_is_not_shown():
    with pytest.raises(DataError, match=r"hdfs://127\.0\.0\.1:9/x: cannot be reached") as raised:
        load_source("hdfs://key:secret@127.0.0.1:9/x?buffer_size=4096")
    assert "secret" not in str(raised.value)


def test_a_missing_shard_and_one_of_another_set_are_named(folder):
    first = folder / "train-00000-of-00002.parquet"
    moved = first.rename(folder / "train-00000-of-00003.parquet")
    with pytest.raises(DataError, match=r"train-00001-of-00002.*: one of 3 shards; number 2 is"):
        load_source(str(folder))
    moved.unlink()
    with pytest.raises(DataError, match=r"train-00001-of-00002.*one of 2 shards; number 0 is miss"):
        load_source(str(folder))


def test_a_shard_that_is_there_twice_is_named(folder):
    shutil.copy(folder / "test-0.parquet", folder / "test-1.parquet")
    with pytest.raises(
        DataError, match=r"test-1\.parquet: the same as .*test-0\.parquet, from row"
    ):
        load_source(str(folder))
    (folder / "test-1.parquet").unlink()
    (folder / "test-0.parquet").unlink()
    (folder / "test-0.parquet").symlink_to(folder / "train-00001-of-00002.parquet")
    with pytest.raises(DataError, match=r"test-0\.parquet: the same as .*train-00001-of-00002"):
        load_source(str(folder))


def test_parts_of_other_classes_are_named(folder):
    write(folder / "test-0.parquet", 2, ("dog", "cat"))
    with pytest.raises(DataError, match=r"test-0\.parquet: its classes are dog, cat, those of"):
        load_source(str(folder))


def test_parts_of_other_shape_are_named_by_file_and_row(folder):
    table = pq.read_table(folder / "test-0.parquet")
    buffer = io.BytesIO()
    Image.new("RGB", (5, 5)).save(buffer, "PNG")
    images = pa.array([*table["image"].to_pylist()[:3], buffer.getvalue()], pa.binary())
    pq.write_table(table.set_column(0, "image", images), folder / "test-0.parquet")
    with pytest.raises(DataError, match=r"test-0\.parquet, row 3: .*\(3, 5, 5\) among \(3, 4, 4\)"):
        load_source(str(folder))


def test_a_torn_page_is_named_by_its_rows(folder):
    path = folder / "test-0.parquet"
    table = pq.read_table(path)
    pq.write_table(table, path, write_page_checksum=True, compression="snappy")
    start = pq.ParquetFile(path).metadata.row_group(0).column(0).dictionary_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"test-0\.parquet, row 0 .*: not a readable Parquet file"):
        load_source(str(folder))


def test_metadata_that_are_no_json_are_named(folder):
    path = folder / "train-00000-of-00002.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata({"huggingface": "{"}), path)
    with pytest.raises(DataError, match=r"train-00000-of-00002\.parquet: its metadata are no JSON"):
        load_source(str(folder))


def test_a_table_without_rows_is_named(folder):
    path = folder / "test-0.parquet"
    pq.write_table(pq.read_table(path)[:0], path)
    with pytest.raises(DataError, match=r"test-\*\.parquet: no rows"):
        load_source(str(folder))
