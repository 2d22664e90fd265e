"""Image tables in Parquet, as public data-set hubs store them: one encoded image a row.

Columns: `img` or `image`, encoded bytes or a struct with `bytes`; `label` or `fine_label`, integer.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sgu.data.decode import EncodedImage
from sgu.files.errors import DataError
from sgu.files.location import Location

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")
BATCH = 64  # rows held in memory, encoded
# Bytes of a column read ahead; otherwise it would be the whole row group (measured: 297 MB instead
# of 21). A page or two must be in memory, as large as the writer of the file made them.
BUFFER = 1 << 20
TAIL = 1 << 16  # bytes
BYTES = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_fixed_size_binary,
)


@dataclass(frozen=True)
class Table:
    """One Parquet file of encoded images."""

    file: Location

    @property
    def count(self) -> int:
        return self._footer[0]

    @cached_property
    def classes(self) -> tuple[str, ...] | None:
        """Return the class names in the metadata (the hub's JSON or a list `classes`), if any."""
        metadata = self._footer[1].metadata or {}
        if b"huggingface" in metadata:
            return self._hub_names(metadata[b"huggingface"])
        return tuple(metadata[b"classes"].decode().split(",")) if b"classes" in metadata else None

    def images(self) -> Iterator[EncodedImage]:
        columns, row = [self._images, self._labels], 0
        with self._opened() as file:
            batches = file.iter_batches(BATCH, columns=columns, use_threads=False)
            while batch := self._next(batches, row):
                images, labels = (batch[name] for name in columns)
                for image, label in zip(images.to_pylist(), labels.to_pylist(), strict=True):
                    where = f"{self.file.shown}, row {row}"
                    yield EncodedImage(where, _bytes_of(image, where), label)
                    row += 1

    def key(self) -> str:
        """Return a key that changes with the file, by its footer even where times are coarse."""
        with self.file.opened() as stream:
            stream.seek(max(0, stream.size() - TAIL))
            return f"{self.file.key()} {hashlib.sha256(stream.read()).hexdigest()}"

    @cached_property
    def _footer(self) -> tuple[int, pa.Schema]:
        with self._opened() as file:
            return file.metadata.num_rows, file.schema_arrow

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        with (
            _readable(self.file.shown),
            self.file.filesystem.open_input_file(self.file.path) as stream,
        ):
            yield pq.ParquetFile(stream, buffer_size=BUFFER, pre_buffer=False)

    def _next(self, batches: Iterator[pa.RecordBatch], row: int) -> pa.RecordBatch | None:
        with _readable(f"{self.file.shown}, row {row} or one of the {BATCH} after it"):
            return next(batches, None)

    @cached_property
    def _images(self) -> str:
        name = self._column(IMAGE_COLUMNS)
        dtype = self._footer[1].field(name).type
        if pa.types.is_struct(dtype) and dtype.get_field_index("bytes") >= 0:
            dtype = dtype.field("bytes").type
        if any(holds(dtype) for holds in BYTES):
            return name
        raise DataError(
            f"{self.file.shown}: column {name} is {dtype}; need encoded images: export them as "
            "bytes (not as paths or pixels), or as a struct with `bytes`"
        )

    @cached_property
    def _labels(self) -> str:
        name = self._column(LABEL_COLUMNS)
        if pa.types.is_integer(self._footer[1].field(name).type):
            return name
        raise DataError(
            f"{self.file.shown}: column {name} holds no integers: encode the classes as 0..C-1"
        )

    def _column(self, wanted: tuple[str, ...]) -> str:
        names = self._footer[1].names
        for name in wanted:
            if name in names:
                return name
        raise DataError(
            f"{self.file.shown}: has columns {', '.join(names)}; need {' or '.join(wanted)}: "
            "rename one"
        )

    def _hub_names(self, metadata: bytes) -> tuple[str, ...] | None:
        """Return the names of the classes in the hub's JSON: info, features, the column, names."""
        try:
            value = json.loads(metadata)
        except ValueError as error:
            raise DataError(
                f"{self.file.shown}: its metadata are no JSON ({error}): export it again"
            ) from error
        for key in ("info", "features", self._labels, "names"):
            value = value.get(key) if isinstance(value, dict) else None
        return tuple(map(str, value)) if isinstance(value, list) and value else None


@dataclass(frozen=True)
class Tables:
    """Several files, in the order given, as one part of a data set."""

    tables: Sequence[Table]
    where: str

    @classmethod
    def of(cls, files: Sequence[Location], where: str | None = None) -> "Tables":
        return cls([Table(file) for file in files], where or files[0].shown)

    @property
    def names(self) -> tuple[str, ...]:
        return ()

    @cached_property
    def count(self) -> int:
        return sum(table.count for table in self.tables)

    def images(self) -> Iterator[EncodedImage]:
        for table in self.tables:
            yield from table.images()

    def key(self) -> str:
        return "\n".join(table.key() for table in self.tables)


def _bytes_of(image: bytes | Mapping[str, Any] | None, where: str) -> bytes | None:
    """Return the encoded image of a cell: bytes, or a struct with `bytes`."""
    if not isinstance(image, Mapping):
        return image
    if image["bytes"] is None and image.get("path"):
        raise DataError(
            f"{where}: names the file {image['path']} but holds no image: the images were not "
            "embedded: export the table with them, or give the folder of the images"
        )
    return image["bytes"]


@contextmanager
def _readable(where: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{where}: not a readable Parquet file ({error}): fetch it again"
        ) from error
