"""Every notebook runs from top to bottom on a small study made on the spot."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
SMALL = [
    "name=notebook",
    "experiment.subset=400",
    "experiment.pretrain_epochs=2",
    "experiment.epochs=1",
    "trials=2",
]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_defines_no_functions(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(
        line.startswith(("def ", "class ")) for c in code for line in c.source.split("\n")
    )
    (parameters,) = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    parameters.source += f"\nRESULTS = Path({str(tmp_path)!r})\nCHANGES = {SMALL!r}"
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=240, resources=resources).execute()
    shown = "".join(str(cell.outputs) for cell in code)
    assert "study notebook is complete" in shown
    assert "vega" in shown, "the chart is shown"
