"""`sgu-study` with a log, unknown to the study, of when each run began and ended.

`python witness.py LOG WORDS...` is `sgu-study WORDS...`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import tune.study
from tune.cli import main
from tune.worker.trial import run_trial

LOG = sys.argv.pop(1)


def say(what: str, config: dict[str, Any]) -> None:
    line = {name: config[name] for name in ("cell", "trial_id", "seed")}
    line |= {"what": what, "at": time.time(), "pid": os.getpid()}
    log = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, f"{json.dumps(line)}\n".encode())  # one write: lines do not mix
    os.close(log)


def witnessed(config: dict[str, Any], **arguments: Any) -> None:
    say("began", config)
    run_trial(config, **arguments)
    say("ended", config)


if __name__ == "__main__":
    tune.study.run_trial = witnessed
    main()
