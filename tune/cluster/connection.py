"""Connects to a Ray cluster, or starts a node on this machine for as long as the study runs."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import ray
from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
from ray.autoscaler.v2.sdk import get_cluster_status
from ray.autoscaler.v2.utils import is_autoscaler_v2
from ray.experimental.internal_kv import _internal_kv_get
from ray.tune.execution.class_cache import DEFAULT_ENV_VARS

from tune import Say
from tune.cluster.dashboards import ray_arguments
from tune.cluster.private import private_folder, private_token
from tune.interrupt import sigterm_as_ctrl_c
from tune.spec.errors import SpecError, one_line
from tune.spec.spec import Spec

QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # a report costs 1 ms instead of 4
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # an epoch's report holds no final metrics
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # see tune.interrupt.stoppable
    "TUNE_GLOBAL_CHECKPOINT_S": "inf",  # no snapshots of Tune's own: on a full disk they end it
    "TUNE_MAX_PENDING_TRIALS_PG": "100000",  # the searcher says how many, see tune.search.searcher
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a task that asks for no GPU sees none
}
ASKED = 1.0  # seconds between two looks at what a cluster has
REPORTED = 15.0  # seconds after which an autoscaler has reported its nodes
DEFAULT_ENV_VARS.clear()  # Tune's, for Lightning: they make each slot start a second process


@contextmanager
def connected(spec: Spec, address: str | None, say: Say = print) -> Iterator[str]:
    """Connect to the cluster at `address` or to a new node here; yield the url of its dashboard.

    Raises SpecError if there is no cluster, or if no node has room for a trial, which would wait
    for ever. say: is told if a node that has is waited for.
    """
    os.environ.update(QUIET)
    private_token()
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a failure is a row, no traceback
    logging.getLogger("ray._private").setLevel(logging.ERROR)
    cpus = max(1, math.ceil(spec.slots * spec.cpus_per_trial)) if spec.slots else None  # None: all
    with nullcontext("") if address else private_folder() as folder:
        node = {} if address else {"num_cpus": cpus, "_temp_dir": folder, **ray_arguments()}
        try:
            context: Any = ray.init(address=address or "local", log_to_driver=False, **node)
        except Exception as error:  # Ray raises plain ones, for a node that starts too slowly, say
            expected = f"--address {address} (expected auto, or a head's such as 10.0.0.1:6379)"
            where = expected if address else "a Ray node on this machine"
            raise SpecError(f"{where}: {one_line(error)}") from error
        try:
            private_token()  # Ray may have made it
            sigterm_as_ctrl_c()  # Ray's own handler ends the process
            check_room(spec, say)
            yield context.dashboard_url or ""
        finally:
            ray.shutdown()


def check_room(spec: Spec, say: Say) -> None:
    """Raise SpecError if no node has room for a trial, and none will be added.

    A cluster that grows may have no worker yet: its trials wait until it has started one.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for setting, resource in (("cpus_per_trial", "CPU"), ("gpus_per_trial", "GPU")):
        wanted, most = getattr(spec, setting), max(node.get(resource, 0) for node in nodes)
        if wanted <= most:
            continue
        lack = f"{setting} = {wanted:g}: no node has more than {most:g} {resource}s"
        if not grows():
            raise SpecError(f"{lack}: lower it, or use a cluster that has them (--address)")
        say(f"{lack} yet: the trials wait for one that the cluster adds")
        return


def grows() -> bool:
    """Return True if the cluster has an autoscaler, which adds nodes of the types it was given.

    Without one, Ray itself reports each node as a type of its own, called node_ and its id. It
    reports for the first time some seconds after the head has started.
    """
    end = time.monotonic() + REPORTED
    while not (types := _node_types()) and time.monotonic() < end:
        time.sleep(0.5)
    return any(not name.startswith("node_") for name in types)


def _node_types() -> set[str]:
    """Return the types of the nodes that either of Ray's autoscalers reports or is starting; none
    yet: empty."""
    if is_autoscaler_v2(fetch_from_server=True):
        status = get_cluster_status(ray.get_runtime_context().gcs_address)
        here = [*status.active_nodes, *status.idle_nodes, *status.pending_nodes]
        starting = [launch.ray_node_type_name for launch in status.pending_launches]
        return {*(node.ray_node_type_name for node in here), *starting}
    status = json.loads(_internal_kv_get(DEBUG_AUTOSCALING_STATUS) or b"{}")
    report = status.get("autoscaler_report", {})
    pending = {node_type for _, node_type, _ in report.get("pending_nodes", ())}
    return {*report.get("active_nodes", {}), *report.get("pending_launches", {}), *pending}


def slots(spec: Spec) -> int:
    """Return the trials at a time: as specified, or as many as the cluster has room for."""
    cluster = ray.cluster_resources()
    return spec.slots_on(cluster.get("CPU", 0), cluster.get("GPU", 0))


class Slots:
    """The trials at a time as of now: nodes may join a cluster, or be lost and come back."""

    def __init__(self, spec: Spec):
        self.spec, self.known, self.asked = spec, 1, -ASKED

    def __call__(self) -> int:
        if time.monotonic() - self.asked > ASKED:
            self.known, self.asked = slots(self.spec), time.monotonic()
        return self.known
