"""Every notebook runs from top to bottom; the first runs the small study that others read."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
SMALL = [
    "name=notebook",
    "methods=[sg, sg+random_label]",
    "experiment.subset=300",
    "experiment.pretrain_epochs=1",
    "experiment.epochs=1",
    "seeds=1",
    "oracles=1",
    "shadows=0",
    "objectives=[val_error, val_mia_advantage]",
    "trials=4",
    "search={alpha: [0.25, 0.5, 2.0, 4.0]}",
    "slots=1",
]
SMALL_SWEEP = ["name=sweep", "experiment.epochs=1", "experiment.pretrain_epochs=1", "slots=1"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_defines_no_functions(path: Path, results: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(
        line.startswith(("def ", "class ")) for cell in code for line in cell.source.split("\n")
    )
    assert not any(cell.outputs for cell in code), "a notebook is committed without outputs"
    (parameters,) = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    small = SMALL_SWEEP if "SWEEPS" in parameters.source else SMALL
    parameters.source += f"\nRESULTS = Path({str(results)!r})\nCHANGES = {small!r}"
    parameters.source += "\nSWEEPS = {'subset': (200, 300)}"
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=600, resources=resources).execute()
    assert "vega" in "".join(str(cell.outputs) for cell in code), "a chart is shown"
