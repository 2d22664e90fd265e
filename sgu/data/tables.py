"""Image tables in Parquet, as public data-set hubs store them: one row for one encoded image.

Columns: `img` or `image`, a struct whose `bytes` hold it; `label` or `fine_label`, an integer.
"""

import io
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from PIL import Image

from sgu.data.examples import DataError, Examples

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")
DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def read_table(paths: list[Path], num_classes: int | None = None) -> Examples:
    """All rows of the files, in the order given.

    num_classes: bounds the labels, where it is known.
    Raises DataError, naming file and row, for anything that cannot be used.
    """
    images: list[np.ndarray] = []
    targets: list[int] = []
    for path in paths:
        for row, (encoded, target) in enumerate(_rows(path)):
            where = f"{path}, row {row}"
            image = _decoded(encoded, where)
            if images and image.shape != images[0].shape:
                raise DataError(
                    f"{where}: image (H, W, C) {image.shape} among {images[0].shape}: resize to one"
                )
            images.append(image)
            targets.append(_checked(target, num_classes, where))
    if not images:
        raise DataError(f"{paths[0]}: no rows; need at least one image a class")
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    return Examples(pixels, torch.tensor(targets, dtype=torch.int64))


def class_names(path: Path) -> tuple[str, ...] | None:
    """The class names in the file's metadata (the hub's JSON or a list `classes`), if any."""
    with _readable(path):
        metadata = pq.read_schema(path).metadata or {}
    if b"huggingface" in metadata:
        features = json.loads(metadata[b"huggingface"]).get("info", {}).get("features", {})
        found = [features[c]["names"] for c in LABEL_COLUMNS if features.get(c, {}).get("names")]
        return tuple(found[0]) if found else None
    return tuple(metadata[b"classes"].decode().split(",")) if b"classes" in metadata else None


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file ({error}): fetch it again") from error


def _rows(path: Path) -> Iterator[tuple[bytes | None, int | None]]:
    """Each row's encoded image and label, in batches, so that no file lies in memory twice."""
    with _readable(path), pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        image, label = (_column(schema, names, path) for names in (IMAGE_COLUMNS, LABEL_COLUMNS))
        if not pa.types.is_struct(schema.field(image).type):
            raise DataError(
                f"{path}: {image} is no struct with `bytes`: export it as encoded images"
            )
        if not pa.types.is_integer(schema.field(label).type):
            raise DataError(f"{path}: {label} is no integer column: encode the classes as 0..C-1")
        for batch in file.iter_batches(4096, columns=[image, label]):
            encoded = pc.struct_field(batch[image], "bytes")
            yield from zip(encoded.to_pylist(), batch[label].to_pylist(), strict=True)


def _column(schema: pa.Schema, wanted: tuple[str, ...], path: Path) -> str:
    for name in wanted:
        if name in schema.names:
            return name
    raise DataError(
        f"{path}: has columns {', '.join(schema.names)}; need {' or '.join(wanted)}: rename one"
    )


def _checked(target: int | None, num_classes: int | None, where: str) -> int:
    if target is None or target < 0 or target >= (num_classes or math.inf):
        shown = "null" if target is None else target
        highest = "C-1" if num_classes is None else num_classes - 1
        raise DataError(f"{where}: label {shown}; need 0..{highest}: drop or correct the row")
    return target


def _decoded(encoded: bytes | None, where: str) -> np.ndarray:
    """One encoded image as uint8 (H, W, C); C is 1 for a grey image, else 3."""
    if encoded is None:
        raise DataError(f"{where}: no image: drop the row")
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            grey = image.mode in ("1", "L")
            pixels = np.asarray(image.convert("L" if grey else "RGB"))
    except DECODING_ERRORS as error:
        raise DataError(f"{where}: corrupt image ({error}): drop or replace the row") from error
    return pixels[:, :, None] if grey else pixels
