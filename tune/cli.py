"""The command `sgu-study`: run, resume and look at studies, and audits on a Ray cluster."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import ray
from ray.exceptions import RayError
from ray.tune import TuneError
from typer import Argument, Context, Option, Typer

from sgu.auditor import AuditorError
from sgu.cli import app as sgu_app
from sgu.cli import shared
from sgu.ensembles.processes import Trainings
from sgu.files.errors import DataError
from sgu.files.one_line import one_line_errors, printable
from tune import study
from tune.cluster.dashboards import dashboards
from tune.cluster.ray_map import on_ray
from tune.cluster.submit import SubmitError
from tune.cluster.submit import submit as submit_study
from tune.interrupt import ended_by_sigterm, exit_code, received
from tune.live import report
from tune.plan import lines
from tune.prepare import Interrupted
from tune.spec.errors import SpecError, last_line
from tune.spec.spec import load_spec
from tune.spec.sweeps import scaled, sweeps_of
from tune.storage.lock import StudyLocked, lock_owner
from tune.storage.study_folder import StudyFolder, rows_of, stored_spec

app = Typer(
    help="Searches the trade-off between accuracy, forgetting and time, with Ray Tune and Optuna.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

DEFAULT = "results"


def say(text: str) -> None:
    """Print a line at once; above the live view, if there is one. Names may hold anything: what a
    terminal would take for commands is left out."""
    print(printable(text), flush=True)


FORESEEN = (SpecError, DataError, AuditorError, Interrupted, SubmitError, StudyLocked, OSError)


DEAD = "Ray has ended: `sgu-study resume NAME` goes on with the study"


@contextmanager
def one_line_ending() -> Iterator[None]:
    """Print foreseen errors, signals and a dead Ray in one line, and end with code 2, or with the
    one of the signal."""
    received.clear()
    with ended_by_sigterm(), one_line_errors("sgu-study", *FORESEEN, code=exit_code):
        try:
            yield
        except KeyboardInterrupt:
            received.append(signal.SIGINT)
            raise Interrupted("stopped: the same command goes on where it was") from None
        except (RayError, TuneError) as error:
            raise Interrupted(f"{DEAD} ({last_line(error, type(error).__name__)})") from error


Results = Annotated[str, Option(help="Folder of the studies, or an address such as s3://...")]
Storage = Annotated[
    str | None, Option("--results", help="The same; default: `storage` in SPEC, or else results.")
]
Address = Annotated[
    str | None, Option(help="A Ray cluster's address, or auto; default: this machine.")
]
Dashboard = Annotated[
    bool, Option("--dashboard", help="Serve Ray's and Optuna's dashboards on 127.0.0.1.")
]
SpecFile = Annotated[Path, Argument(metavar="SPEC", help="A YAML file; see studies/.")]
Change = Annotated[
    list[str] | None, Option("--set", metavar="KEY=VALUE", help="Change a key, such as trials=3.")
]
Name = Annotated[str, Argument(metavar="NAME", help="The study's name.")]


@app.command()
def run(
    spec: SpecFile,
    results: Storage = None,
    address: Address = None,
    change: Change = None,
    fresh: Annotated[bool, Option(help="Delete an earlier study of that name.")] = False,
    dashboard: Dashboard = False,
) -> None:
    """Run the study of a specification, or go on with it. Its rows go to results/<name>."""
    with one_line_ending(), dashboards(dashboard):
        checked = load_spec(spec, change or ())
        study.run(checked, results or checked.storage or DEFAULT, address, say, fresh)


@app.command()
def resume(
    name: Name, results: Results = DEFAULT, address: Address = None, dashboard: Dashboard = False
) -> None:
    """Go on with a study that was stopped. Finished trials are kept as they are."""
    with one_line_ending(), dashboards(dashboard):
        study.resume(name, results, address, say)


@app.command()
def check(
    spec: SpecFile,
    results: Storage = None,
    change: Change = None,
    probe: Annotated[bool, Option(help="Time one epoch of each kind of training.")] = True,
) -> None:
    """Print what a study would do: its cells, networks and storage, and about how long it takes."""
    with one_line_ending():
        checked = load_spec(spec, change or ())
        folder = StudyFolder(results or checked.storage or DEFAULT, checked.name)
        for line in lines(checked, folder, probe):
            say(line)


@app.command()
def confirm(
    name: Name,
    seeds: Annotated[int, Option(min=1, help="Number of fresh seeds.")] = 3,
    results: Results = DEFAULT,
    address: Address = None,
) -> None:
    """Run the front's configurations again on fresh seeds, or go on with that."""
    with one_line_ending():
        study.confirm(name, seeds, results, address, say)


@app.command()
def status(name: Name, results: Results = DEFAULT) -> None:
    """Say how far a study is, also while it runs."""
    with one_line_ending():
        folder = StudyFolder(results, name)
        spec, rows = stored_spec(folder.address), rows_of(folder.address)
        report(spec, rows, folder.local_path, lock_owner(folder.files))


@app.command()
def scaling(
    results: Results = DEFAULT,
    address: Address = None,
    sweep: Annotated[
        list[str] | None,
        Option(help="KIND=VALUE,...: subset, classes, audit, forget_fraction or workers."),
    ] = None,
    change: Change = None,
    fresh: Annotated[bool, Option(help="Delete an earlier study of that name.")] = False,
) -> None:
    """Run a method and its retrained model at every size of a data set, or go on with that."""
    with one_line_ending():
        spec = scaled(sweeps_of(sweep or ()), change or ())
        study.run(spec, results, address, say, fresh)


@app.command()
def submit(
    spec: SpecFile,
    address: Annotated[str, Option(help="The dashboard, such as http://127.0.0.1:8265.")],
    results: Annotated[str, Option(help="Folder of results as the cluster sees it.")],
    change: Change = None,
    wait: Annotated[bool, Option(help="Follow the job's log to its end.")] = True,
) -> None:
    """Run a study as a job of a Ray cluster, with this code. See cluster.yaml."""
    with one_line_ending():
        submit_study(load_spec(spec, change or ()), address, results, say, wait)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def audit(
    context: Context,
    address: Address = None,
    cpus: Annotated[float, Option(help="Processors of a training.")] = 1,
    gpus: Annotated[float, Option(help="GPUs, or a share of one, of a training.")] = 0,
) -> None:
    """Audit as `sgu audit` does, with its arguments, on a Ray cluster.

    Put those last: sgu-study audit --address auto -- MODEL.safetensors --shadows 64
    """
    with one_line_errors("sgu-study audit", *shared.FORESEEN, RayError):
        ray.init(address=address or "local", include_dashboard=None if address else False)
        try:
            trainings = Trainings(on_ray(cpus, gpus), None, max(1, int(cpus)))
            sgu_app(["audit", *context.args], prog_name="sgu", obj=trainings)
        finally:
            ray.shutdown()


def main() -> None:
    """Run the command."""
    app(prog_name="sgu-study")
