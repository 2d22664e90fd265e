"""A file of who is forgotten: all forms name the same, and what does not fit is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sgu.data.sources import Source, load_source
from sgu.data.splits.forget_file import forget_from_file
from sgu.data.splits.splits import stated_splits

FORGET = [1, 5, 6]  # of 4 cats (0..3) and 4 dogs (4..7)
FILES = ["cat/1.png", "dog/1.png", "dog/2.png"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Source:
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for part, count in (("train", 4), ("test", 5)):
        for label in ("cat", "dog"):
            (folder / part / label).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / part / label / f"{number}.png")
    return load_source(str(folder))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("f.txt", "1\n6\n5\n"),
        ("f.txt", "\n".join(FILES)),
        ("f.txt", "\n".join(f"/home/me/photos/train/{file}" for file in FILES)),
        ("f.csv", "1\n5\n6\n"),
        ("f.csv", "index\n1\n5\n6\n"),
        ("f.csv", "note,Index,label\nplease,1,cat\n,5,dog\n,6,1\n"),
        ("f.csv", "path,label\n" + "".join(f"{file},{file[:3]}\n" for file in FILES)),
        ("f.tsv", "class\tfile\ncat\ttrain\\cat\\1.png\ndog\tdog/1.png\ndog\tdog/2.png\n"),
        ("f.csv", "path;label\n" + "".join(f"{file};{file[:3]}\n" for file in FILES)),
        ("f.csv", "split,index\nforget,5\nforget,6\nforget,1\n"),
    ],
)
def test_all_forms_name_the_same(photos, name, text, tmp_path):
    (tmp_path / name).write_text(text)
    splits = forget_from_file(tmp_path / name, photos, seed=4)
    assert splits.digest == stated_splits(photos, FORGET, 4).digest


@pytest.mark.parametrize("columns", [{"index": FORGET}, {"who": FORGET}, {"file": FILES}])
def test_tables_of_parquet(photos, columns, tmp_path):
    pq.write_table(pa.table(columns), tmp_path / "f.parquet")
    splits = forget_from_file(tmp_path / "f.parquet", photos, seed=4)
    assert splits.forget.tolist() == FORGET


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("f.txt", "", "f.txt is empty"),
        ("f.txt", "99\n", "f.txt: forget has index 99: must be 0..7"),
        ("f.txt", "3\n3\n", "f.txt: forget has index 3 twice"),
        ("f.txt", "3\ncat/1.png\n", r"row 2: index 'cat/1.png' is no whole number"),
        ("f.txt", "bird/1.png\n", "row 1: bird/1.png is no file of train"),
        ("f.txt", "test/cat/1.png\n", "row 1: test/cat/1.png is held out"),
        (
            "f.txt",
            "test/cat/1.png\ncat/1.png\ndog/9.png\n",
            r"row 1: .* leave it out; unfit, too: row 3$",
        ),
        ("f.txt", "1.png\n", r"row 1: 1.png is in 2 classes: write CLASS/1.png"),
        ("f.csv", "index,label\n1,dog\n", r"row 1: example 1 has label dog there, and cat \(0\)"),
        ("f.csv", "a,b\n1,2\n", "no column is called index, path"),
        ("f.csv", "index,label\n1,cat\n2\n", "row 2: 1 cells; need 2"),
        ("f.csv", "label\ncat\n", "no rows, or no column index, path"),
        ("f.parquet", "no table", "is no Parquet file"),
    ],
)
def test_what_does_not_fit_is_named(photos, name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        forget_from_file(tmp_path / name, photos, seed=4)


def test_data_without_file_names_take_indices(toy_source, tmp_path: Path):
    (tmp_path / "f.txt").write_text("cat/1.png\n")
    with pytest.raises(ValueError, match="names files, and toy has none: name indices"):
        forget_from_file(tmp_path / "f.txt", toy_source, seed=4)
