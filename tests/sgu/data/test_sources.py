"""Sources: they hold what was stored, and errors name the unfit file and row."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from sgu.data.base import make_source
from sgu.data.decode import decode
from sgu.data.examples import Examples
from sgu.data.sources import EMBEDDED, load_source
from sgu.data.tables import Tables
from sgu.files.errors import DataError
from sgu.files.location import Location

CIFAR10 = Path(__file__).parents[3].parent / "shared" / "data" / "cifar10"


def pixels(count: int, side: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def encoded(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def write(path: Path, images: list[bytes | None], labels: list[int | None], **names: str) -> Path:
    structs = [{"bytes": image, "path": None} for image in images]
    column = pa.array(structs, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    table = {names.get("image", "img"): column, names.get("label", "label"): pa.array(labels)}
    pq.write_table(pa.table(table), path)
    return path


def read_table(paths: list[Path], num_classes: int | None = None) -> Examples:
    return decode([Tables.of([Location.at(path) for path in paths])], num_classes)[0]


def write_folder(folder: Path, count: int = 12, classes: int = 3) -> Path:
    labels = [i % classes for i in range(count)]
    for seed, part in enumerate(("train", "test")):
        images = [encoded(image) for image in pixels(count, seed=seed)]
        write(folder / f"{part}-0.parquet", images, labels)
    return folder


def test_a_folder_gives_the_pixels_and_labels_that_were_stored(tmp_path):
    source = load_source(str(write_folder(tmp_path)))
    assert torch.equal(source.train.inputs.permute(0, 2, 3, 1), torch.from_numpy(pixels(12)))
    assert source.train.targets.tolist() == [0, 1, 2] * 4
    assert source.classes == ("0", "1", "2")


def test_shards_follow_each_other_in_name_order(tmp_path):
    images = [encoded(image) for image in pixels(4)]
    paths = [write(tmp_path / f"{i}", images[i : i + 2], [i, i]) for i in (0, 2)]
    table = read_table(paths)
    assert table.targets.tolist() == [0, 0, 2, 2]
    assert torch.equal(table.inputs.permute(0, 2, 3, 1), torch.from_numpy(pixels(4)))


def test_other_column_names_and_grey_images_are_read(tmp_path):
    grey = pixels(2)[..., 0]
    path = write(
        tmp_path / "t", [encoded(g) for g in grey], [0, 1], image="image", label="fine_label"
    )
    assert torch.equal(read_table([path]).inputs[:, 0], torch.from_numpy(grey))


def test_fingerprint_sees_one_pixel_and_one_label():
    images, targets = torch.zeros(4, 3, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 0, 1])
    heldout = Examples(images, targets)
    changed = images.clone()
    changed[3, 2, 1, 1] = 1
    variants = [(images, targets), (changed, targets), (images, targets.flip(0))]
    prints = {make_source("t", Examples(*v), heldout).fingerprint for v in variants}
    assert len(prints) == 3
    assert make_source("t", heldout, heldout).fingerprint in prints


@pytest.mark.parametrize("bad", [b"", b"not an image", encoded(pixels(1, 16)[0])[:-60], None])
def test_a_corrupt_image_is_named_by_file_and_row(tmp_path, bad):
    good = encoded(pixels(1, 16)[0])
    path = write(tmp_path / "shard.parquet", [good, good, bad, good], [0, 1, 2, 3])
    with pytest.raises(DataError, match=r"shard\.parquet, row 2: .*image"):
        read_table([path])


@pytest.mark.parametrize("label", [-1, None, 3])
def test_a_wrong_label_is_named_by_file_and_row(tmp_path, label):
    images = [encoded(image) for image in pixels(3)]
    path = write(tmp_path / "shard.parquet", images, [0, label, 1])
    with pytest.raises(DataError, match=r"shard\.parquet, row 1: label"):
        read_table([path], num_classes=3)


def test_a_label_that_no_number_of_classes_explains_is_named(tmp_path):
    write_folder(tmp_path)
    images = [encoded(image) for image in pixels(4)]
    write(tmp_path / "train-1.parquet", images, [0, 1, 2, 10**9])
    with pytest.raises(
        DataError, match=r"train-1\.parquet, row 3: label 1000000000; need 0\.\.C-1"
    ):
        load_source(str(tmp_path))


def test_a_wild_label_is_refused_before_each_class_below_it_gets_a_name():
    images = torch.zeros(2, 3, 2, 2, dtype=torch.uint8)
    wild = Examples(images, torch.tensor([0, 10**9]))
    with pytest.raises(DataError, match="t, train, example 1: label 1000000000; need"):
        make_source("t", wild, Examples(images, torch.tensor([0, 1])))


def test_an_image_of_sixteen_bits_is_named_and_not_clipped(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(buffer, "PNG")
    path = write(tmp_path / "shard.parquet", [encoded(pixels(1)[0]), buffer.getvalue()], [0, 1])
    with pytest.raises(DataError, match=r"shard\.parquet, row 1: image of mode I;16"):
        read_table([path])


def test_a_grey_image_among_coloured_ones_is_grey_in_all_channels(tmp_path):
    colour, grey = pixels(2)
    path = write(tmp_path / "t", [encoded(colour), encoded(grey[..., 0])], [0, 1])
    read = read_table([path]).inputs
    assert torch.equal(read[0].permute(1, 2, 0), torch.from_numpy(colour))
    assert torch.equal(read[1], torch.from_numpy(grey[..., 0]).expand(3, 4, 4))


def test_images_that_are_not_square_are_refused(tmp_path):
    for seed, part in enumerate(("train", "test")):
        images = [encoded(image[:3]) for image in pixels(2, seed=seed)]
        write(tmp_path / f"{part}-0.parquet", images, [0, 1])
    with pytest.raises(DataError, match=r"images are \(3, 3, 4\); need square"):
        load_source(str(tmp_path))


def test_resized_images_are_the_centre_as_pillow_draws_it(tmp_path):
    odd = [pixels(1, 9)[0][:6], pixels(1, 12)[0]]  # 6 x 9 and 12 x 12
    for part in ("train", "test"):
        images = [encoded(image) for image in (odd if part == "train" else odd[::-1])]
        write(tmp_path / f"{part}-0.parquet", images, [0, 1])
    with pytest.raises(DataError, match=r"train-0\.parquet, row 1: image .*resize"):
        load_source(str(tmp_path))
    source = load_source(f"{tmp_path}@3")
    crop = Image.fromarray(np.ascontiguousarray(odd[0][:, 1:8]))  # the centre: columns 1.5 to 7.5
    drawn = crop.resize((3, 3), Image.Resampling.BILINEAR, (0.5, 0, 6.5, 6))
    assert source.shape.side == 3
    with pytest.raises(DataError, match="@0: no such folder or source"):
        load_source(f"{tmp_path}@0")
    assert torch.equal(source.train.inputs[0].permute(1, 2, 0), torch.from_numpy(np.array(drawn)))


def test_an_odd_shape_is_named_by_file_and_row(tmp_path):
    images = [encoded(pixels(1)[0]), encoded(pixels(1, 5)[0])]
    path = write(tmp_path / "shard.parquet", images, [0, 1])
    with pytest.raises(DataError, match=r"shard\.parquet, row 1: .*\(3, 5, 5\)"):
        read_table([path])


def test_missing_things_are_named(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such folder or source"):
        load_source(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"no train-\*\.parquet"):
        load_source(str(tmp_path))
    (tmp_path / "train-0.parquet").write_bytes(b"PAR1 torn")
    write(tmp_path / "test-0.parquet", [encoded(pixels(1)[0])], [0])
    with pytest.raises(DataError, match=r"train-0\.parquet: not a readable Parquet file"):
        load_source(str(tmp_path))
    path = write(tmp_path / "t", [encoded(pixels(1)[0])], [0], label="category")
    with pytest.raises(DataError, match="need label or fine_label"):
        read_table([path])


def test_a_class_missing_in_one_part_is_named(tmp_path):
    write_folder(tmp_path)
    write(tmp_path / "test-0.parquet", [encoded(image) for image in pixels(2)], [0, 2])
    with pytest.raises(DataError, match=r"test-\*\.parquet: no example of class 1"):
        load_source(str(tmp_path))


def test_a_name_that_is_nearly_right_gets_a_hint():
    with pytest.raises(DataError, match=r"cifra10: no such .*did you mean cifar10.*\?\).*svhn"):
        load_source("cifra10")


def test_a_source_of_texts_has_a_vocabulary_and_a_length():
    tokens = Examples(torch.zeros(4, 7, dtype=torch.int32), torch.tensor([0, 1, 0, 1]))
    shape = make_source("t", tokens, tokens, vocabulary=9).shape
    assert (shape.classes, shape.vocabulary, shape.length, shape.text) == (2, 9, 7, True)
    with pytest.raises(DataError, match=r"t, train: inputs \(4, 7\), vocabulary 0; need > 0"):
        make_source("t", tokens, tokens)
    tokens.inputs[2, 5] = 9
    with pytest.raises(DataError, match=r"t, train, example 2: token 9; need 0\.\.8"):
        make_source("t", tokens, tokens, vocabulary=9)


def test_embedded_is_balanced_and_has_its_names(embedded):
    assert embedded.train.targets.bincount().tolist() == [400] * 10
    assert embedded.heldout.targets.bincount().tolist() == [200] * 10
    assert embedded.train.inputs.shape == (4000, 3, 32, 32)
    assert embedded.classes[3] == "cat"
    assert embedded.fingerprint == "c1b6a82d38d0b0e2"


def test_subset_is_balanced_repeatable_and_bounded(embedded):
    small, again = (load_source("embedded", 500) for _ in range(2))
    assert small.train.targets.bincount().tolist() == [50] * 10
    assert small.heldout.targets.bincount().tolist() == [25] * 10
    assert small.fingerprint == again.fingerprint != embedded.fingerprint
    with pytest.raises(DataError, match=r"choose 10\.\.4000"):
        load_source("embedded", 4001)


@pytest.mark.skipif(not CIFAR10.is_dir(), reason="needs ../shared/data/cifar10 beside the project")
@pytest.mark.parametrize(("part", "stored"), [("train", "train"), ("heldout", "test")])
def test_embedded_images_equal_the_originals_at_their_rows(embedded, part, stored):
    shards = sorted(CIFAR10.glob(f"{stored}-*.parquet"))
    whole = pa.concat_tables([pq.read_table(shard) for shard in shards])
    rows = pq.read_table(EMBEDDED / f"{part}.parquet")["source_row"]
    originals = whole.take(rows)
    examples = getattr(embedded, part)
    assert examples.targets.tolist() == originals["label"].to_pylist()
    for image, original in zip(examples.inputs, originals["img"].to_pylist(), strict=True):
        reference = np.asarray(Image.open(io.BytesIO(original["bytes"])).convert("RGB"))
        assert np.array_equal(image.permute(1, 2, 0).numpy(), reference)
    assert len(set(rows.to_pylist())) == len(examples)
