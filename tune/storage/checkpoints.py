"""The snapshots of trials while they run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from sgu.files.location import Location
from sgu.results.rows import Row


@dataclass(frozen=True)
class Checkpoints:
    """The snapshots of trials while they run, one file each in artifacts/checkpoints.

    A file's name is made from what decides a trial, so that a worker that starts again and a driver
    that follows a dead one find it. version: of the code; another one does not go on with them.
    """

    folder: Location
    version: str

    def of(self, settings: Row, data_fingerprint: str, split_digest: str) -> Location:
        content = [data_fingerprint, split_digest]
        decisive = json.dumps([settings, *content, self.version], sort_keys=True)
        digest = hashlib.sha256(decisive.encode()).hexdigest()[:16]
        return self.folder.inside(f"{digest}.safetensors")
