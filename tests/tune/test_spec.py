"""A specification is checked whole: whatever is wrong in it is one line that names the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sgu.experiment import Experiment
from tune.spec import Spec, SpecError, load_spec

STUDIES = Path(__file__).parents[2] / "studies"
ALPHA = {"alpha": {"low": 0.1, "high": 4.0, "log": True}}
SOUND: dict[str, Any] = {"name": "small", "search": ALPHA}


def load(tmp_path: Path, content: Any) -> Spec:
    path = tmp_path / "spec.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return load_spec(path)


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_studies_that_are_shipped_load(path):
    spec = load_spec(path)
    assert spec.name == path.stem
    assert spec.search


def test_what_is_left_out_has_its_default(tmp_path):
    spec = load(tmp_path, SOUND)
    assert spec.cells[0].base == Experiment()
    assert (spec.objectives, spec.sampler) == (("val_error", "val_mia_advantage"), "tpe")


def test_a_stored_specification_is_the_same_one(tmp_path):
    search = ALPHA | {
        "solve_every": [4, "epoch"],
        "batch_size": {"low": 32, "high": 128, "step": 32},
        "loss": ["hinge", "logistic"],
    }
    spec = load(tmp_path, SOUND | {"search": search, "experiment": {"subset": 400}})
    stored = yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False)
    assert load(tmp_path, stored) == spec


def test_whole_numbers_are_drawn_whole(tmp_path):
    search = {"epochs": {"low": 1, "high": 5, "step": 2}, "solve_every": {"low": 1, "high": 64}}
    search["solve_every"] |= {"log": True, "step": 1}
    domains = load(tmp_path, SOUND | {"search": search}).search
    assert [domains["epochs"].distribution().to_external_repr(v) for v in (1, 3, 5)] == [1, 3, 5]
    assert all(isinstance(end, int) for domain in domains.values() for end in domain.ends())


def test_changes_are_put_in_place(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(SOUND))
    spec = load_spec(path, ["trials=3", "experiment.lr=0.5", "search.reg=[0.1, 0.2]"])
    assert (spec.trials, spec.cells[0].base.options["lr"]) == (3, 0.5)
    assert list(spec.search) == ["alpha", "reg"]
    for change, said in (("trials", "key=value"), ("trails=3", "trails"), ("name.x=3", "name")):
        with pytest.raises(SpecError, match=said):
            load_spec(path, [change])


@pytest.mark.parametrize("search", [{}, None, "left out"])
def test_without_a_search_it_is_the_space_of_the_method(search):
    """All of it that the experiment does not fix, and the game's where it is played."""
    content = {"name": "own", "experiment": {"lr": 0.1}, "search": search}
    if search == "left out":
        del content["search"]
    assert set(Spec.model_validate(content).search) == {"alpha", "reg", "solve_every"}
    content["experiment"] = {"method": "finetune"}
    assert set(Spec.model_validate(content).search) == {"lr", "epochs"}


def searching(**domains: Any) -> dict[str, Any]:
    return SOUND | {"search": domains}


def given(**settings: Any) -> dict[str, Any]:
    return SOUND | {"experiment": settings}


BROKEN: list[tuple[Any, str]] = [
    ("", "expected keys"),
    ("[1, 2]", "expected keys"),
    ("name: [", "not YAML"),
    ("{1: 2}", "unknown key 1"),
    ({"search": ALPHA}, "name: Field required"),
    (SOUND | {"trails": 3}, "unknown key trails: did you mean trials?"),
    (SOUND | {"name": "../up"}, "name = "),
    (SOUND | {"name": ""}, "name = "),
    (SOUND | {"name": 7}, "name = 7"),
    (SOUND | {"name": "cache"}, "name = 'cache'"),
    (SOUND | {"trials": 0}, "trials = 0"),
    (SOUND | {"trials": "many"}, "trials = 'many'"),
    (SOUND | {"slots": 0}, "slots = 0"),
    (SOUND | {"cpus_per_trial": 0}, "cpus_per_trial = 0"),
    (SOUND | {"cpus_per_trial": float("inf")}, "cpus_per_trial = inf"),
    (SOUND | {"gpus_per_trial": -1}, "gpus_per_trial = -1"),
    (SOUND | {"sampler": "cmaes"}, "sampler = 'cmaes'"),
    (SOUND | {"sampler_seed": "x"}, "sampler_seed = 'x'"),
    (SOUND | {"objectives": ["val_error"]}, "objectives: .* two or more"),
    (SOUND | {"objectives": ["val_error", "val_error"]}, "objectives: .* different"),
    (SOUND | {"objectives": ["val_error", "loveliness"]}, "objectives: .*loveliness"),
    (SOUND | {"objectives": ["val_error", "mia_acc"]}, "objectives: mia_acc .* use val_mia_acc"),
    (SOUND | {"objectives": "val_error"}, "objectives = 'val_error'"),
    (SOUND | {"experiment": [1]}, r"experiment = \[1\]"),
    (given(metod="sg"), "unknown key experiment.metod: did you mean method?"),
    (given(method="finetune"), "search.alpha: finetune plays no game; choose method sg\\+finetune"),
    (given(method="sg+sg"), "experiment.method = 'sg\\+sg': must be one of"),
    (given(method="scrubb"), "experiment.method = 'scrubb': must be one of"),
    (given(temperatures=3), "unknown key experiment.temperatures"),
    (given(epochs=0), "experiment.epochs = 0: the game needs an epoch"),
    (given(lr="fast"), "experiment.lr = 'fast'"),
    (given(lr=-1), "experiment.lr = -1"),
    (given(seed=1.5), "experiment.seed = 1.5"),
    (given(reg=0), "experiment.reg = 0"),
    (given(subset=0), "experiment.subset = 0"),
    (given(pretrain_epochs=0), "experiment.pretrain_epochs = 0"),
    (given(statistics="none"), "experiment.statistics = 'none'"),
    (given(alpha=1.0), "unknown key search.alpha"),
    (SOUND | {"search": [1]}, r"search = \[1\]"),
    (searching(alhpa=[1, 2]), "unknown key search.alhpa: did you mean alpha?"),
    (searching(seed=[1, 2]), "unknown key search.seed"),
    (searching(alpha=3), "search.alpha: must be a list"),
    (searching(alpha=[]), "search.alpha"),
    (searching(alpha=["0.5", 1]), "search.alpha: '0.5' must be a number"),
    (searching(alpha=[1, -2]), "search.alpha: alpha = -2"),
    (searching(alpha={"low": 1}), "search.alpha.high: Field required"),
    (searching(alpha={"low": 2, "high": 1}), "search.alpha: low = 2"),
    (searching(alpha={"low": 0, "high": 1, "log": True}), "search.alpha: low = 0"),
    (searching(alpha={"low": 1, "high": 2, "lgo": True}), "search.alpha.lgo"),
    (searching(reg={"low": 0.1, "high": float("inf")}), "search.reg.high = inf"),
    (searching(reg={"low": float("nan"), "high": 1}), "search.reg.low = nan"),
    (searching(reg={"low": 0, "high": 1}), "search.reg: reg = 0"),
    (searching(loss=["hinge", "zero_one"]), "search.loss"),
    (searching(solve_every=["epoch", "week"]), "search.solve_every"),
    (searching(solve_every=[4.0, 8]), "search.solve_every: 4.0 must be a whole number"),
    (searching(epochs={"low": 1, "high": 3}), "search.epochs: .* step"),
    (searching(epochs={"low": 1.5, "high": 3, "step": 1}), "search.epochs: low = 1.5"),
    (searching(batch_size={"low": 8, "high": 64, "log": True, "step": 8}), "search.batch_size"),
    (searching(momentum={"low": 0.5, "high": 1.0}), "search.momentum: momentum = 1.0"),
]


@pytest.mark.parametrize(("content", "said"), BROKEN, ids=[said for _, said in BROKEN])
def test_what_is_wrong_is_one_line_that_names_the_key(tmp_path, content, said):
    with pytest.raises(SpecError, match=said) as caught:
        load(tmp_path, content)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "spec.yaml"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"nowhere\.yaml: No such file .* studies/default.yaml"):
        load_spec(tmp_path / "nowhere.yaml")


def test_text_that_is_not_utf8_is_named(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_bytes(b"name: caf\xe9\n")
    with pytest.raises(SpecError, match=r"spec\.yaml: "):
        load_spec(path)
