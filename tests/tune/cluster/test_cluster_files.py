"""The cluster files: what Ray's launcher, the cloud and KubeRay accept, and what they overlook."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config
from typer.testing import CliRunner

from tune.cli import app

ROOT = Path(__file__).parents[3]
LAUNCHED = ["cluster.yaml", "tune/cluster/aws-gpu.yaml"]
RAY = version("ray")


def read(path: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / path).read_text())


def node_configs(cluster: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what Ray hands to the cloud unchecked, by node type."""
    types = cluster["available_node_types"]
    return {name: node_type["node_config"] for name, node_type in types.items()}


def report(node_config: dict[str, Any]) -> str:
    """Return the errors that EC2's service model finds in arguments of run_instances."""
    session = pytest.importorskip("botocore.session", reason="botocore knows EC2's arguments")
    validator = pytest.importorskip("botocore.validate").ParamValidator()
    ec2 = session.get_session().get_service_model("ec2")
    arguments = node_config | {"MinCount": 1, "MaxCount": 1}  # Ray adds these
    return validator.validate(
        arguments, ec2.operation_model("RunInstances").input_shape
    ).generate_report()


@pytest.mark.parametrize("path", LAUNCHED)
def test_ray_accepts_it(path):
    validate_config(prepare_config(read(path)))


@pytest.mark.parametrize("path", LAUNCHED)
def test_ray_would_refuse_a_wrong_key(path):
    with pytest.raises(Exception, match="max_worker"):
        validate_config(prepare_config(read(path) | {"max_worker": 3}))


@pytest.mark.parametrize("path", LAUNCHED)
def test_the_head_runs_no_trials_and_workers_find_it(path):
    cluster = read(path)
    (head,) = (line for line in cluster["head_start_ray_commands"] if "ray start" in line)
    (worker,) = (line for line in cluster["worker_start_ray_commands"] if "ray start" in line)
    assert {"--head", "--num-cpus=0", "--dashboard-host=127.0.0.1"} <= set(shlex.split(head))
    assert "--address=$RAY_HEAD_IP:6379" in shlex.split(worker)
    assert "--port=6379" in shlex.split(head)
    for line in (head, worker):
        assert "RAY_AUTH_MODE=token" in line
    assert "~/.ray/auth_token" in cluster["file_mounts"]


@pytest.mark.parametrize("path", LAUNCHED)
def test_setup_twice_leads_the_path_once_and_closes_the_token(path, tmp_path):
    """`ray down` looks for `ray` in a login shell; the lines are run as the launcher would."""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("0")
    (tmp_path / ".bashrc").write_text("case $- in *i*) ;; *) return;; esac\n")
    lines = [line for line in read(path)["setup_commands"] if "make" not in line]
    for line in [*lines, *lines]:
        subprocess.run(
            ["bash", "-c", line], check=True, env={"HOME": str(tmp_path), "PATH": "/bin"}
        )
    text = (tmp_path / ".bashrc").read_text()
    assert text.count("sgu/.venv/bin") == 1
    shell = ["bash", "-c", ". ~/.bashrc; echo $PATH $RAY_AUTH_MODE $RAY_TMPDIR"]
    env = {"HOME": str(tmp_path), "PATH": "/bin"}
    shown = subprocess.run(shell, env=env, capture_output=True, text=True, check=True).stdout
    user = getpass.getuser()
    assert shown == f"{tmp_path}/sgu/.venv/bin:/bin token /tmp/sgu-{user}\n"
    assert (tmp_path / ".ray" / "auth_token").stat().st_mode & 0o077 == 0
    assert (tmp_path / ".ray").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("path", LAUNCHED)
def test_rays_folder_is_the_owners_alone_and_no_home_that_machines_may_share(path, tmp_path):
    """Ray's folder has the same name on all machines, and each deletes what it did not put there:
    in a shared home, a job lost its working folder to a worker. It is no folder of others."""
    (tmp_path / "sgu" / ".venv" / "bin").mkdir(parents=True)
    ray = tmp_path / "sgu" / ".venv" / "bin" / "ray"
    ray.write_text("#!/bin/sh\necho started\n")
    ray.chmod(0o755)
    place, env = tmp_path / "place", {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        (line,) = (line for line in read(path)[key] if "ray start" in line)
        assert "RAY_TMPDIR=/tmp/sgu-$(id -un)" in line
        line = line.replace("/tmp/sgu-$(id -un)", str(place))
        start = ["bash", "-c", line]
        assert subprocess.run(start, env=env, capture_output=True).stdout == b"started\n"
        assert place.stat().st_mode & 0o777 == 0o700
        if os.getuid() == 0:
            os.chown(place, 12345, 12345)
            assert subprocess.run(start, env=env, capture_output=True).stdout == b""
        place.rmdir()


def test_the_launcher_is_told_to_use_the_autoscaler_that_starts_all_workers():
    """Ray 2.60's newer one takes an on-premise head for ended, and stops after one worker."""
    header = (ROOT / "cluster.yaml").read_text().split("cluster_name")[0]
    assert "export RAY_UP_enable_autoscaler_v2=0" in header


def test_no_node_of_the_cloud_is_in_a_group_that_ray_opens_to_the_internet():
    for config in node_configs(read("tune/cluster/aws-gpu.yaml")).values():
        assert config["SecurityGroupIds"]


def test_the_image_takes_neither_packages_nor_results_and_keeps_the_history():
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".venv", "results", "cache"} <= set(ignored)
    assert ".git" not in ignored  # every row names its commit


@pytest.mark.parametrize("path", LAUNCHED)
def test_every_command_is_valid_shell(path):
    for key, lines in read(path).items():
        for line in lines if key.endswith("_commands") else ():
            subprocess.run(["bash", "-n", "-c", line], check=True)


def test_the_cloud_accepts_every_node():
    for config in node_configs(read("tune/cluster/aws-gpu.yaml")).values():
        assert report(config) == ""


def test_a_typo_in_a_node_is_found():
    for config in node_configs(read("tune/cluster/aws-gpu.yaml")).values():
        assert "InstanceTyp" in report(config | {"InstanceTyp": "m7i.large"})
        wrong = config | {"InstanceMarketOptions": {"MarketTyp": "spot"}}
        assert "MarketTyp" in report(wrong)


def test_gpu_workers_are_spot_and_scale_and_the_head_is_not():
    cluster = read("tune/cluster/aws-gpu.yaml")
    head, gpu = (cluster["available_node_types"][name] for name in ("head", "gpu"))
    assert cluster["head_node_type"] == "head"
    assert head["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in head["node_config"]
    assert gpu["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
    assert gpu["resources"]["GPU"] >= 1
    assert gpu["min_workers"] < gpu["max_workers"] <= cluster["max_workers"]


class Strict(BaseModel):
    """Fields of KubeRay's ray-operator/apis/ray/v1 and Kubernetes' core/v1 that we may use: fewer
    than its CRD has (1.3 MB of YAML), and of the same types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Resources(Strict):
    requests: dict[str, str]
    limits: dict[str, str]


class Port(Strict):
    name: str = Field(max_length=15)
    containerPort: int = Field(gt=0, lt=65536)


class Container(Strict):
    name: str
    image: str
    resources: Resources
    ports: list[Port] = []
    env: list[dict[str, Any]] = []
    volumeMounts: list[dict[str, Any]] = []


class Pod(Strict):
    containers: list[Container] = Field(min_length=1)
    serviceAccountName: str = ""
    terminationGracePeriodSeconds: int = 30
    tolerations: list[dict[str, str]] = []
    nodeSelector: dict[str, str] = {}
    volumes: list[dict[str, Any]] = []


class Template(Strict):
    spec: Pod
    metadata: dict[str, Any] = {}


class HeadGroup(Strict):
    rayStartParams: dict[str, str]
    template: Template
    serviceType: str = "ClusterIP"


class WorkerGroup(Strict):
    groupName: str
    minReplicas: int = Field(ge=0)
    maxReplicas: int
    rayStartParams: dict[str, str]
    template: Template
    replicas: int = 0
    numOfHosts: int = 1


class Auth(Strict):
    mode: Literal["token", "disabled"]


class RayCluster(Strict):
    headGroupSpec: HeadGroup
    rayVersion: str
    workerGroupSpecs: list[WorkerGroup] = []
    authOptions: Auth
    enableInTreeAutoscaling: bool = False


class RayJobSpec(Strict):
    entrypoint: str
    rayClusterSpec: RayCluster
    submissionMode: Literal["K8sJobMode", "HTTPMode", "InteractiveMode"] = "K8sJobMode"
    backoffLimit: int = 0
    activeDeadlineSeconds: int | None = None
    shutdownAfterJobFinishes: bool = False
    ttlSecondsAfterFinished: int = 0
    runtimeEnvYAML: str = ""
    suspend: bool = False


class RayJob(Strict):
    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayJob"]
    metadata: dict[str, Any]
    spec: RayJobSpec


@pytest.fixture
def job() -> dict[str, Any]:
    return read("tune/cluster/rayjob.yaml")


def test_the_ray_job_has_the_form_that_kuberay_expects(job):
    cluster = RayJob.model_validate(job).spec.rayClusterSpec
    assert cluster.headGroupSpec.rayStartParams["num-cpus"] == "0"
    for group in cluster.workerGroupSpecs:
        assert group.minReplicas <= group.replicas <= group.maxReplicas


def test_a_typo_in_the_ray_job_is_found(job):
    job["spec"]["rayClusterSpec"]["workerGroupSpec"] = []
    with pytest.raises(ValidationError, match="workerGroupSpec"):
        RayJob.model_validate(job)


def test_every_part_runs_the_pinned_ray(job):
    cluster = RayJob.model_validate(job).spec.rayClusterSpec
    assert cluster.rayVersion == RAY
    for group in (cluster.headGroupSpec, *cluster.workerGroupSpecs):
        for container in group.template.spec.containers:
            assert container.image.endswith(f":ray-{RAY}")
    docker = (ROOT / "tune/cluster/Dockerfile").read_text()
    assert re.search(rf"^FROM rayproject/ray:{re.escape(RAY)}-py311", docker, re.MULTILINE)


def test_the_ray_jobs_entrypoint_is_one_of_our_commands(job, tmp_path):
    """It fails only at the results, where nothing can be written: all before them is right."""
    command, *words = shlex.split(job["spec"]["entrypoint"])
    assert command == "sgu-study"
    assert "--address" in words
    spec = words[1].removeprefix("/home/ray/sgu/")
    assert spec != words[1]
    taken = tmp_path / "taken"
    taken.touch()
    words[1], words[words.index("--results") + 1] = str(ROOT / spec), str(taken)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "taken" in result.output
