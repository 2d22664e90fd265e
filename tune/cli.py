"""The command `sgu-study`: run, resume and look at studies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from sgu.auditor import AuditorError
from sgu.cli.shared import one_line_errors
from sgu.files.errors import DataError
from tune.cluster import audit as auditing
from tune.cluster.dashboards import dashboards
from tune.cluster.submit import SubmitError
from tune.cluster.submit import submit as submit_study
from tune.live import report
from tune.plan import lines
from tune.prepare import Failed
from tune.spec.errors import SpecError
from tune.spec.spec import load_spec
from tune.spec.sweeps import scaled, sweeps_of
from tune.storage.lock import StudyLocked, lock_owner
from tune.storage.study_folder import StudyFolder, rows_of, stored_spec
from tune.study import Interrupted
from tune.study import confirm as confirm_study
from tune.study import resume as resume_study
from tune.study import run as run_study

app = typer.Typer(
    help="Searches the trade-off between accuracy, forgetting and time, with Ray Tune and Optuna.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DEFAULT = "results"
FORESEEN = (
    SpecError, DataError, AuditorError, Interrupted, Failed, SubmitError, StudyLocked, OSError
)  # fmt: skip


def say(text: str) -> None:
    """One line, at once; above the live view where there is one."""
    print(text, flush=True)


@contextmanager
def ending_well() -> Iterator[None]:
    """One line for what was foreseen, Ctrl-C among it."""
    with one_line_errors("sgu-study", *FORESEEN):
        try:
            yield
        except KeyboardInterrupt:
            raise Interrupted("stopped: the same command goes on where it was") from None


Results = Annotated[
    str, typer.Option(help="What holds the studies: a folder, or an address such as s3://...")
]
Storage = Annotated[
    str | None,
    typer.Option("--results", help="As `storage` in SPEC; without both, the folder results."),
]
Address = Annotated[
    str | None,
    typer.Option(help="A Ray cluster's address, or auto; without it, this machine alone."),
]
Dashboard = Annotated[
    bool, typer.Option("--dashboard", help="Serve Ray's and Optuna's dashboards on 127.0.0.1.")
]
SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="A YAML file; see studies/.")]
Change = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key, such as trials=3."),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The study's name.")]


@app.command()
def run(
    spec: SpecFile,
    results: Storage = None,
    address: Address = None,
    change: Change = None,
    fresh: Annotated[bool, typer.Option(help="Delete an earlier study of that name.")] = False,
    dashboard: Dashboard = False,
) -> None:
    """Run the study of a specification; rows go to results/<name>. Goes on with one begun."""
    with ending_well(), dashboards(dashboard):
        checked = load_spec(spec, change or ())
        run_study(checked, results or checked.storage or DEFAULT, address, say, fresh)


@app.command()
def resume(
    name: Name,
    results: Results = DEFAULT,
    address: Address = None,
    dashboard: Dashboard = False,
) -> None:
    """Go on with a study that was stopped; finished trials are kept as they are."""
    with ending_well(), dashboards(dashboard):
        resume_study(name, results, address, say)


@app.command()
def check(
    spec: SpecFile,
    results: Storage = None,
    change: Change = None,
    probe: Annotated[bool, typer.Option(help="Time one epoch of each kind of training.")] = True,
) -> None:
    """Print what a study would do: its cells, networks and storage, and about how long it takes."""
    with ending_well():
        checked = load_spec(spec, change or ())
        home = StudyFolder(results or checked.storage or DEFAULT, checked.name)
        for line in lines(checked, home, probe):
            say(line)


@app.command()
def confirm(
    name: Name,
    seeds: Annotated[int, typer.Option(min=1, help="How many, after the study's own.")] = 3,
    results: Results = DEFAULT,
    address: Address = None,
) -> None:
    """Run the front's configurations again, on fresh seeds; goes on where it was stopped."""
    with ending_well():
        confirm_study(name, seeds, results, address, say)


@app.command()
def status(name: Name, results: Results = DEFAULT) -> None:
    """Say how far a study is; works while it runs."""
    with ending_well():
        home = StudyFolder(results, name)
        spec, rows = stored_spec(home.address), rows_of(home.address)
        report(spec, rows, home.local_path, lock_owner(home.files))


@app.command()
def scaling(
    results: Results = DEFAULT,
    address: Address = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(help="KIND=VALUE,...: subset, classes, audit, forget_fraction or workers."),
    ] = None,
    change: Change = None,
    fresh: Annotated[bool, typer.Option(help="Delete an earlier study of that name.")] = False,
) -> None:
    """Run a method and its retrained model at every size of a data set; goes on with one begun."""
    with ending_well():
        spec = scaled(sweeps_of(sweep or ()), change or ())
        run_study(spec, results, address, say, fresh)


@app.command()
def submit(
    spec: SpecFile,
    address: Annotated[str, typer.Option(help="The dashboard, such as http://127.0.0.1:8265.")],
    results: Annotated[str, typer.Option(help="Folder of results as the cluster sees it.")],
    change: Change = None,
    wait: Annotated[bool, typer.Option(help="Follow the job's log to its end.")] = True,
) -> None:
    """Run a study as a job of a Ray cluster; the code goes along. See cluster.yaml."""
    with ending_well():
        submit_study(load_spec(spec, change or ()), address, results, say, wait)


app.command("audit", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
    auditing.command
)


def main() -> None:
    """Entry point."""
    app(prog_name="sgu-study")
