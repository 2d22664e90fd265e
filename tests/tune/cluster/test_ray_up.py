"""The steps in the header of cluster.yaml, as they stand there, on three machines with sshd.

The machines are namespaces of this one (site.sh): each has its own processes, network, home and
temporary folder, so that `ray stop` ends nobody else's Ray.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.siege

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SPACES = ["unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"]
TOOLS = ("sshd", "ssh-keygen", "rsync", "ip", "nsenter", "unshare")
FEWER = [
    "experiment.subset=400",
    "experiment.pretrain_epochs=1",
    "experiment.epochs=1",
    "oracles=0",
    "shadows=0",
    "trials=6",
    "objectives=[val_error,val_mia_advantage]",
]
AFTER_UP = """
for _ in $(seq 60); do (: > /dev/tcp/127.0.0.1/8265) 2>/dev/null && break; sleep 1; done
"""
LEFT = """
for machine in 192.0.2.1{0,1,2}; do  # a worker's Ray ends once it has missed its head for a minute
    ssh -q -o StrictHostKeyChecking=no $machine '
        ray="[r]ay::|[r]aylet|[g]cs_server"
        for _ in $(seq 120); do pgrep -f $ray >/dev/null || break; sleep 1; done
        echo left $(pgrep -c -f $ray) after $SECONDS s'
done
"""
ROWS = """
import json
from analysis import load_study
rows = load_study("results/default")
print("rows", json.dumps({name: sorted(set(rows[name].dropna())) for name in ("host", "status")}))
print("trials", (~rows["control"].fillna(True).astype(bool)).sum())
"""


def steps() -> list[str]:
    """Return the commands in the header, and what it leaves to a user: another shell for the
    dashboard, the answer to a question, and a study of seconds."""
    header = (ROOT / "cluster.yaml").read_text().split("cluster_name")[0]
    lines = re.findall(r"^#   (\S.*?)(?: {2,}.*)?$", header, re.MULTILINE)
    commands = [line for line in lines if line.startswith((".venv/", "chmod", "export"))]
    changes = " ".join(f"--set '{change}'" for change in FEWER)
    given = {
        "up": " --yes",
        "down": " --yes",
        "dashboard": " &" + AFTER_UP,
        "submit": f" {changes}",
    }
    return [f"{line}{given.get(line.split()[1], '')}" for line in commands]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, with a user that every machine here has."""
    missing = [
        tool for tool in TOOLS if not shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin")
    ]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install openssh-server rsync iproute2")
    if subprocess.run([*SPACES, "true"], capture_output=True).returncode:
        pytest.skip("needs the right to make namespaces")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0")[:-1]:
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text(cluster.read_text().replace("ssh_user: ubuntu", "ssh_user: root"))
    return tmp_path


def test_its_header_leads_from_nothing_to_rows_and_back(project):
    (project / "rows.py").write_text(ROWS)
    environment = "export PYTHONPATH=$PWD COLUMNS=200 OMP_NUM_THREADS=1"
    script = "\n".join(["set -e", environment, *steps(), LEFT, ".venv/bin/python rows.py"])
    (project / "steps.sh").write_text(script)
    site = [*SPACES, "bash", str(HERE / "site.sh"), str(project), sys.prefix, "bash", "steps.sh"]
    result = subprocess.run(site, capture_output=True, text=True, timeout=600)
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    assert re.search(r"job default-\w+: SUCCEEDED", output), output
    rows = json.loads(re.search(r"^rows (.*)$", output, re.MULTILINE)[1])
    assert rows["status"] == ["complete"]
    assert set(rows["host"]) <= {"first", "second"}, "the head runs no trials"
    assert re.search(r"^trials 6$", output, re.MULTILINE), output
    assert re.findall(r"^left (\d+) after", output, re.MULTILINE) == ["0", "0", "0"], output
