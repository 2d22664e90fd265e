"""Images are decoded as a viewer shows them, whatever the order of their files."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sgu.data.decode import pixels
from sgu.data.sources import load_source
from sgu.files.errors import DataError

ORIENTATION = 0x0112
# the tag's values, and numpy's operations on (H, W, C) that show the image (Exif 2.3, 4.6.4)
TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: np.rot90(a, 2),
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def png(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def noise(height: int = 6, width: int = 9, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("orientation", TURNED)
def test_an_image_is_turned_as_its_exif_says(orientation):
    exif, stored = Image.Exif(), noise()
    exif[ORIENTATION] = orientation
    seen = pixels(png(Image.fromarray(stored), exif=exif), "x.png")
    assert np.array_equal(seen.transpose(1, 2, 0), TURNED[orientation](stored))


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0", b"Exif\0\0" + bytes(range(64)), b"\xff" * 9])
def test_a_broken_exif_block_is_passed_over_in_silence(exif):
    with warnings.catch_warnings(action="error"):
        seen = pixels(png(Image.fromarray(noise()), exif=exif), "x.png")
    assert np.array_equal(seen.transpose(1, 2, 0), noise())


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(mode):
    alpha = np.zeros((6, 9), np.uint8)
    alpha[:, 4:] = 255
    opaque = Image.fromarray(noise()).convert("L" if mode == "LA" else "RGB")
    image, options = opaque.copy(), {}
    if mode == "P":
        opaque = opaque.quantize(8)
        image, options = opaque, {"transparency": 3}
        hidden = np.asarray(image) == 3
    else:
        image.putalpha(Image.fromarray(alpha))
        hidden = alpha == 0
    expected = np.array(opaque.convert("L" if mode == "LA" else "RGB"))
    expected[hidden] = 255
    seen = pixels(png(image, **options), "x.png")
    assert np.array_equal(seen[0] if mode == "LA" else seen.transpose(1, 2, 0), expected)


@pytest.mark.parametrize("grey", [0, 2])
def test_images_are_coloured_where_any_is(tmp_path, grey):
    for seed, part in enumerate(("train", "test")):
        for label, name in enumerate("ab"):
            place = tmp_path / part / name
            place.mkdir(parents=True)
            for i in range(3):
                image = Image.fromarray(noise(6, 6, 9 * seed + 3 * label + i))
                image.convert("L" if (seed, label, i) == (0, 0, grey) else "RGB").save(
                    place / f"{i}.png"
                )
    inputs = load_source(str(tmp_path)).train.inputs
    assert inputs.shape == (6, 3, 6, 6)
    assert (inputs[grey, 0] == inputs[grey, 2]).all()


def write(folder, name: str, images: pa.Array, metadata: dict | None = None) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"image": images, "label": [0, 0, 1, 1]})
    pq.write_table(table.replace_schema_metadata(metadata), folder / name)


def images(seed: int, kind: pa.DataType | None = None) -> pa.Array:
    content = [png(Image.fromarray(noise(6, 6, 4 * seed + i))) for i in range(4)]
    return pa.array(content, kind or pa.binary())


@pytest.mark.parametrize(
    "form",
    ["{part}/0000.parquet", "{part}.parquet", "data/{part}-0.parquet"],
)
def test_tables_are_found_as_hubs_lay_them_out(tmp_path, form):
    for seed, part in enumerate(("train", "test")):
        write(tmp_path, form.format(part=part), images(seed))
    shown = load_source(str(tmp_path)).train.inputs.permute(0, 2, 3, 1)
    assert np.array_equal(shown, [noise(6, 6, i) for i in range(4)])


@pytest.mark.parametrize("kind", [pa.binary_view(), pa.large_binary()])
def test_encoded_images_are_read_in_each_type_of_bytes(tmp_path, kind):
    for seed, part in enumerate(("train", "test")):
        write(tmp_path, f"{part}-0.parquet", images(seed, kind))
    assert load_source(str(tmp_path)).train.inputs.shape == (4, 3, 6, 6)


@pytest.mark.parametrize(
    "metadata", ['{"info": null}', '{"info": {"features": [1]}}', "[]", '{"info": {}}']
)
def test_metadata_of_another_form_name_no_classes(tmp_path, metadata):
    for seed, part in enumerate(("train", "test")):
        write(tmp_path, f"{part}-0.parquet", images(seed), {"huggingface": metadata})
    assert load_source(str(tmp_path)).classes == ("0", "1")


def test_images_that_were_not_embedded_are_called_so(tmp_path):
    cells = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    for part in ("train", "test"):
        rows = [{"bytes": None, "path": f"{part}{i}.png"} for i in range(4)]
        write(tmp_path, f"{part}-0.parquet", pa.array(rows, cells))
    with pytest.raises(DataError, match=r"row 0: names the file train0\.png but .* not embedded"):
        load_source(str(tmp_path))
