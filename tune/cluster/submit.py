"""Runs a study on a cluster by Ray Jobs: the code is sent along, the job's log comes back.

Whoever may submit a job may run code on the cluster. Ray's token is sent if there is one: made by
`ray get-auth-token --generate`, it lies on both sides in ~/.ray/auth_token or RAY_AUTH_TOKEN_PATH.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import shlex
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from aiohttp import ClientError
from ray._private.authentication.authentication_token_setup import (
    maybe_enable_token_auth_if_token_available,
)
from ray.exceptions import AuthenticationError
from ray.job_submission import JobStatus, JobSubmissionClient

from sgu.host.provenance import VERSION_GIVEN, code_version
from tune import Say
from tune.spec.errors import last_line
from tune.spec.spec import Spec

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("sgu", "tune", "analysis")


class SubmitError(RuntimeError):
    """A study that the cluster does not take; the message is one line."""


def submit(spec: Spec, address: str, results: str, say: Say, wait: bool = True) -> None:
    """Run the study as a job of the cluster whose dashboard is at `address`, and follow its log.

    results: the folder of results as the cluster sees it; wait: False only starts the job.
    Raises SubmitError if the job cannot be started, or did not succeed.
    """
    if not (PurePosixPath(results).is_absolute() or "://" in results):
        raise SubmitError(
            f"--results {results}: expected an address such as s3://bucket/folder, or an absolute "
            "path that all the cluster's machines share: a job's own folder is deleted when it ends"
        )
    client = _client(address)
    with _in_one_line(address):
        job = _start(client, spec, results)
    say(f"job {job} runs study {spec.name}; its rows go to {results}/{spec.name}")
    commands = f"`ray job logs --follow {job}` and `ray job stop {job}`, with --address {address}"
    if not wait:
        say(f"to follow and to stop it: {commands}")
        return
    try:
        with _in_one_line(f"{address} tells no more of job {job} ({commands})"):
            asyncio.run(_follow(client.tail_job_logs(job), say))
            status = client.get_job_status(job)
    except KeyboardInterrupt:
        say(f"job {job} goes on; to follow and to stop it: {commands}")
        return
    if status != JobStatus.SUCCEEDED:
        raise SubmitError(f"job {job}: {status}; submitted again, the study goes on where it was")
    say(f"job {job}: {status}")


def _client(address: str) -> JobSubmissionClient:
    logging.getLogger("ray").setLevel(logging.WARNING)  # it reports each package
    logging.getLogger("ray.dashboard").setLevel(logging.WARNING)
    logging.getLogger("ray._private").setLevel(logging.ERROR)  # it says that a token is sent
    try:
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)  # as `ray start` does
        return JobSubmissionClient(address)
    except AuthenticationError as error:
        raise SubmitError(
            f"{address} wants the cluster's token: put it in ~/.ray/auth_token, or name its file "
            f"in RAY_AUTH_TOKEN_PATH ({error.message})"
        ) from error
    except (RuntimeError, ConnectionError, ValueError) as error:
        raise SubmitError(
            f"{address}: {error} (expected a dashboard such as http://127.0.0.1:8265)"
        ) from error


@contextmanager
def _in_one_line(subject: str) -> Iterator[None]:
    """Turn an error that the cluster returns, or one on the way to it, into a SubmitError."""
    try:
        yield
    except (RuntimeError, OSError, ClientError) as error:
        raise SubmitError(f"{subject}: {last_line(error, type(error).__name__)}") from error


def _start(client: JobSubmissionClient, spec: Spec, results: str) -> str:
    """Start the job and return its id. Its folder holds only the specification."""
    command = ["python", "-m", "tune", "run", "spec.yaml", "--address", "auto", "--results"]
    version, dirty = code_version()
    with tempfile.TemporaryDirectory(prefix="sgu-") as folder:
        (Path(folder) / "spec.yaml").write_text(spec.to_yaml(), encoding="utf-8")
        return client.submit_job(
            entrypoint=shlex.join([*command, results]),
            submission_id=f"{spec.name}-{secrets.token_hex(4)}",
            metadata={"study": spec.name},
            runtime_env={
                "working_dir": folder,
                "py_modules": [str(ROOT / package) for package in PACKAGES],
                "env_vars": {VERSION_GIVEN: f"{version}+dirty" if dirty else version},
            },
        )


async def _follow(log: AsyncIterator[str], say: Say) -> None:
    async for lines in log:
        for line in lines.splitlines():
            say(line)
