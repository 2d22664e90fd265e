"""`sgu-study` with two trials that fail: 0000 kills its worker, 0001 has too little memory.

`python broken.py LOG WORDS...` is `sgu-study WORDS...`; LOG gets a line for each run of a trial.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import tune.study
from tune.cli import main
from tune.worker.trial import run_trial

LOG = sys.argv.pop(1)
DEATHS = 1  # fewer than the product's own, to be quick
LEFT = 64 * 2**20  # bytes that a trial may take in addition to its process


def broken(config: dict[str, Any], **arguments: Any) -> None:
    with open(LOG, "a") as log:
        log.write(f"{config['trial_id']}\n")
    if config["trial_id"] == "0000":
        os.kill(os.getpid(), signal.SIGKILL)
    if config["trial_id"] == "0001":
        status = Path("/proc/self/status").read_text()
        taken = int(re.search(r"VmSize:\s+(\d+)", status)[1]) * 1024  # type: ignore[index]
        limits = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (taken + LEFT, limits[1]))
        try:
            run_trial(config, **arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, limits)
    else:
        run_trial(config, **arguments)


if __name__ == "__main__":
    tune.study.run_trial = broken
    tune.study.DEATHS = DEATHS
    main()
