"""The direction of imports, read from the source files; and no file is unpickled."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import sgu

ROOT = Path(__file__).parents[1]
PACKAGES = ("sgu", "tune", "analysis")
FORBIDDEN = {
    "sgu": {"ray", "optuna", "tune", "analysis"},
    "analysis": {"torch", "ray", "optuna", "tune"},
    "sgu/results": {"torch", "ray", "optuna", "tune", "analysis"},
    "sgu/files": {"torch", "ray", "optuna", "tune", "analysis"},
    "tune/worker/trial.py": {"analysis", "optuna"},
}
ALLOWED = {"analysis/importances.py": {"optuna"}}
"""Exceptions, for what is imported inside a function alone."""
UNPICKLING = {"pickle", "cloudpickle", "dill", "shelve", "joblib"}


ROOMS = {
    "analysis": {"sgu.results", "sgu.files"},
    "sgu/results": {"sgu.results", "sgu.files"},
    "sgu/files": {"sgu.files"},
}
"""Rooms of sgu that a part may import."""


def sources(part: str) -> list[Path]:
    path = ROOT / part
    return [path] if path.suffix else sorted(path.rglob("*.py"))


def imported(path: Path, inside: bool = True) -> set[str]:
    """Return the full names of what a file imports; inside: also inside functions."""
    found, todo = set(), [ast.parse(path.read_text(encoding="utf-8"))]
    for node in todo:
        if inside or not isinstance(node, ast.FunctionDef):
            todo.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("part", FORBIDDEN)
def test_arrows_point_one_way(part):
    files = sources(part)
    assert files
    for path in files:
        roots = {name.split(".")[0] for name in imported(path)}
        allowed = ALLOWED.get(path.relative_to(ROOT).as_posix(), set())
        assert not roots & FORBIDDEN[part] - allowed, path


@pytest.mark.parametrize("part", ROOMS)
def test_the_ground_floor_stands_on_nothing_above_it(part):
    for path in sources(part):
        names = [name for name in imported(path) if name.split(".")[0] == "sgu"]
        assert {".".join(name.split(".")[:2]) for name in names} - {"sgu"} <= ROOMS[part], path


def test_no_module_imports_itself_in_a_circle():
    """Imports for type checking count, too; those inside functions do not."""
    paths = [path for package in PACKAGES for path in sources(package)]
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths}
    modules = {name.removesuffix(".__init__"): path for path, name in names.items()}
    graph = {}
    for name, path in modules.items():
        loaded = imported(path, inside=False)
        used = {item.rpartition(".")[0] for item in loaded - modules.keys()}
        packages = {item.rpartition(".")[0] for item in loaded & modules.keys()} - used
        graph[name] = loaded & modules.keys() - packages  # `from package import module`: the latter
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


@pytest.mark.parametrize("name", ALLOWED)
def test_exceptions_are_loaded_only_where_they_are_used(name):
    """Whoever imports analysis does not load Optuna."""
    for node in ast.parse((ROOT / name).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found = {alias.name for alias in node.names} | {getattr(node, "module", None) or ""}
            assert not {each.split(".")[0] for each in found} & ALLOWED[name]


def test_of_tune_only_the_driver_knows_the_schema_and_the_readers():
    """What a worker loads stays small: no charts, no samplers."""
    reached, todo = set(), {"tune.worker.trial"}
    while todo:
        name = todo.pop()
        path = ROOT / f"{name.replace('.', '/')}.py"
        if name in reached or not path.is_file():
            continue
        reached.add(name)
        todo |= {name for name in imported(path) if name.split(".")[0] in PACKAGES}
    assert "sgu.experiment" in reached
    assert not {name.split(".")[0] for name in reached} & {"analysis"}


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_is_unpickled(package):
    for path in sources(package):
        if path == ROOT / "sgu/models/files.py":  # other people's weights, plain values alone
            assert path.read_text(encoding="utf-8").count("weights_only=True") == 1
            continue
        assert not {name.split(".")[0] for name in imported(path)} & UNPICKLING, path
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) not in {("torch", "load"), ("np", "load")}, path


def test_ray_tune_is_never_taken_for_our_own():
    """A name `tune` from ray would hide this project's package."""
    for path in sources("tune"):
        assert "ray.tune" not in {
            f"{node.module}.{alias.name}"
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }, path


@pytest.mark.parametrize("module", ["sgu.results.schema", "analysis"])
def test_an_import_loads_no_heavy_library(module):
    """In a fresh process, since this one has them all."""
    code = f"import sys, {module}; print(*{{'torch', 'ray', 'sklearn'}} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (result.returncode, result.stdout.strip()) == (0, ""), result.stderr


@pytest.mark.parametrize("name", sgu.__all__)
def test_sgu_hands_its_names_on(name):
    assert getattr(sgu, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = sgu.nothing
