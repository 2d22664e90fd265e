"""Draw the embedded set: class-balanced parts of CIFAR-10, encoded bytes copied unchanged.

Source: CIFAR-10 (A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009).
The column `source_row` holds the row of each image in the whole set (shards in name order).
    python -m sgu.data.draw_embedded --from ../shared/data/cifar10 --seed 0
"""

import argparse
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from sgu.data.base import balanced
from sgu.data.sources import EMBEDDED
from sgu.data.tables import Table
from sgu.files.errors import DataError
from sgu.files.location import Location

PARTS = {"train": ("train-*.parquet", 4000), "heldout": ("test-*.parquet", 2000)}
CREDIT = "CIFAR-10 (Krizhevsky 2009), a class-balanced part; source_row: row in the whole set"


def draw(folder: Path, pattern: str, count: int, seed: int) -> pa.Table:
    """Draw `count` class-balanced images from the tables that match, in the source's order."""
    shards = sorted(folder.glob(pattern))
    if not shards:
        raise DataError(f"{folder}: no {pattern}; give the folder of the whole set as image tables")
    table = pa.concat_tables([pq.read_table(shard) for shard in shards])
    targets = torch.tensor(table["label"].to_pylist())
    indices = balanced(targets, count, torch.Generator().manual_seed(seed)).numpy()
    label = {"names": list(Table(Location.at(shards[0])).classes or ()), "_type": "ClassLabel"}
    features = {"img": {"_type": "Image"}, "label": label}
    metadata = {"huggingface": json.dumps({"info": {"features": features}}), "source": CREDIT}
    drawn = table.take(indices).append_column("source_row", pa.array(indices))
    return drawn.replace_schema_metadata(metadata)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", type=Path, default=EMBEDDED)
    arguments = parser.parse_args()
    for part, (pattern, count) in PARTS.items():
        table = draw(arguments.folder, pattern, count, arguments.seed)
        # the bytes are compressed images: neither codec nor dictionary nor statistics would help
        pq.write_table(
            table,
            arguments.to / f"{part}.parquet",
            compression="none",
            use_dictionary=False,
            write_statistics=False,
        )


if __name__ == "__main__":
    main()
