"""`sgu-study audit`: an audit whose networks are trained as tasks of a Ray cluster."""

from __future__ import annotations

from typing import Annotated

import ray
import typer
from ray.exceptions import RayError
from typer import Option

from sgu.cli import app as sgu
from sgu.cli.shared import FORESEEN, one_line_errors
from sgu.ensembles.processes import Trainings
from tune.cluster.ray_map import on_ray


def command(
    context: typer.Context,
    address: Annotated[
        str | None, Option(help="A Ray cluster's address, or auto; none: this machine.")
    ] = None,
    cpus: Annotated[float, Option(help="Processors of a training.")] = 1,
    gpus: Annotated[float, Option(help="GPUs, or a share of one, of a training.")] = 0,
) -> None:
    """Audit as `sgu audit` does, with its arguments, on a Ray cluster.

    Put those last: sgu-study audit --address auto -- MODEL.safetensors --shadows 64
    """
    with one_line_errors("sgu-study audit", *FORESEEN, RayError):
        ray.init(address=address or "local", include_dashboard=None if address else False)
        try:
            trainings = Trainings(on_ray(cpus, gpus), None, max(1, int(cpus)))
            sgu(["audit", *context.args], prog_name="sgu", obj=trainings)
        finally:
            ray.shutdown()
