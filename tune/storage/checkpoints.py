"""Where the snapshots of trials lie while they run: artifacts/checkpoints, a file each.

Found by what decides a trial, whoever asks: a worker that starts again, a driver that comes after
one that died. The driver removes a trial's when its row is written. Imports no analysis, no Optuna.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from sgu.files.folder import Folder

WHERE = "artifacts/checkpoints"


@dataclass(frozen=True)
class Checkpoint:
    """One trial's: a `sgu.training.snapshots.Place`."""

    folder: Folder
    name: str

    def read(self) -> bytes | None:
        return self.folder.get(self.name)

    def write(self, content: bytes) -> None:
        """A trial goes on without one that cannot be written: then it has more to do again."""
        try:
            self.folder.put(self.name, content)
        except OSError:
            return

    def remove(self) -> None:
        self.folder.remove(self.name)


@dataclass(frozen=True)
class Checkpoints:
    """Those of a study. version: of the code; another one does not go on with them."""

    folder: Folder
    version: str

    def of(self, settings: dict[str, Any], data_fingerprint: str) -> Checkpoint:
        decides = json.dumps([settings, data_fingerprint, self.version], sort_keys=True)
        digest = hashlib.sha256(decides.encode()).hexdigest()[:16]
        return Checkpoint(self.folder, f"{digest}.safetensors")

    def clear(self) -> None:
        """Delete all that are left, where no trial runs."""
        for name in self.folder.names():
            self.folder.remove(name)
        self.folder.sweep()
