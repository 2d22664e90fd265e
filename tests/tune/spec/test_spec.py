"""A specification is checked as a whole, and an error is one line that names the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sgu.experiment import Experiment
from sgu.methods import search_space
from tune.prepare import measurable
from tune.spec.errors import SpecError
from tune.spec.sections import Bound
from tune.spec.spec import Spec, load_spec, parse_spec

STUDIES = Path(__file__).parents[3] / "studies"
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
    assert all(cell.space for cell in spec.cells)


def test_what_is_left_out_has_its_default(tmp_path):
    spec = load(tmp_path, SOUND)
    assert spec.cells[0].base == Experiment()
    assert (spec.objectives, spec.sampler) == (("val_error", "val_residual"), "tpe")


def test_residual_memory_rests_on_three_retrained_models(tmp_path):
    """With fewer, another objective takes its place by default, and asking for it is refused."""
    few = SOUND | {"oracles": 1}
    assert load(tmp_path, few).objectives == ("val_error", "val_mia_advantage")
    assert load(tmp_path, SOUND | {"oracles": 2}).objectives == ("val_error", "val_residual")
    with pytest.raises(SpecError, match=r"val_residual: rests on 3 .*: raise oracles to 2"):
        load(tmp_path, few | {"objectives": ["val_error", "val_residual"]})


def test_without_a_scale_for_residual_memory_objectives_by_default_give_way(tmp_path):
    """The original cannot be told from retrained models; a study that asks for it is refused."""
    told = list[str]()
    none, one = ({("embedded", 0): {"original": row}} for row in ({}, {"val_residual": 1.0}))
    spec = load(tmp_path, SOUND)
    assert measurable(spec, one, told.append) is spec
    assert measurable(spec, none, told.append).objectives == ("val_error", "val_mia_advantage")
    (line,) = told
    assert "cannot be told from retrained models" in line
    stated = load(tmp_path, SOUND | {"objectives": ["val_error", "val_residual"]})
    with pytest.raises(SpecError, match=r"cannot be told .* choose other objectives"):
        measurable(stated, none, told.append)
    with pytest.raises(SpecError, match="choose other objectives"):
        measurable(parse_spec(stated.to_yaml(), "stored"), none, told.append)


def test_an_attack_by_shadow_models_takes_some(tmp_path):
    asked = SOUND | {"objectives": ["val_error", "val_rmia_auc"]}
    assert load(tmp_path, asked | {"shadows": 4}).objectives == ("val_error", "val_rmia_auc")
    with pytest.raises(SpecError, match="val_rmia_auc: takes shadow models: give shadows"):
        load(tmp_path, asked)


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
    for change, message in (("trials", "key=value"), ("trails=3", "trails"), ("name.x=3", "name")):
        with pytest.raises(SpecError, match=message):
            load_spec(path, [change])


@pytest.mark.parametrize("search", [{}, None, "left out"])
def test_without_a_search_it_is_the_space_of_the_method(search):
    """Settings of the experiment are left out, and the game's space is added if it is played."""
    content = {"name": "own", "experiment": {"lr": 0.1}, "search": search}
    if search == "left out":
        del content["search"]
    assert set(Spec.model_validate(content).search) == {"alpha", "reg", "solve_every"}
    content["experiment"] = {"method": "finetune"}
    assert set(Spec.model_validate(content).search) == {"lr", "epochs"}


def test_methods_take_the_place_of_the_one_that_a_file_names():
    text = "{name: a, experiment: {method: sg+undo, data: embedded}, search: {noise: [0.5, 0.6]}}"
    changes = ["methods=[sg, undo]", "data=[embedded]", "objectives=[val_error, seconds]"]
    spec = parse_spec(text, "here", changes)
    assert [cell.name for cell in spec.cells] == ["embedded/sg", "embedded/undo"]
    assert [set(cell.space) for cell in spec.cells] == [
        set(search_space(m)) for m in ("sg", "undo")
    ]
    kept = parse_spec(text, "here", ["methods=[undo]", "search.epochs=[2, 3]"])
    assert set(kept.cells[0].space) == {"noise", "epochs"}


def test_each_data_set_with_each_method_is_a_cell(tmp_path):
    """Shared settings hold for the methods that have them, epochs for those that train."""
    content = {
        "name": "many",
        "data": ["embedded", {"data": "some/folder", "name": "mine", "subset": 400, "trials": 3}],
        "methods": ["sg", {"method": "scrub", "search": {"lr": [0.1, 0.2]}, "temperature": 2.0},
                    {"method": "ssd"}],
        "experiment": {"epochs": 2, "subset": 800, "seed": 5},
        "seeds": 2,
    }  # fmt: skip
    spec = load(tmp_path, content)
    assert [cell.name for cell in spec.cells] == [
        f"{data}/{method}" for data in ("embedded", "mine") for method in ("sg", "scrub", "ssd")
    ]
    sg, scrub, ssd, _, mine, _ = spec.cells
    assert [sg.base.subset, mine.base.subset] == [800, 400]
    assert [cell.base.options["epochs"] for cell in (sg, scrub, ssd)] == [2, 2, 0]
    assert (scrub.base.options["temperature"], list(scrub.space)) == (2.0, ["lr"])
    assert set(ssd.space) == {"select", "dampen"}
    assert [cell.trials for cell in (sg, mine)] == [12, 3]
    assert mine.base.data == "some/folder"
    assert list(spec.runs()) == [5, 6]
    assert load(tmp_path, yaml.safe_dump(spec.model_dump(mode="json"))) == spec


def test_controls_are_always_there():
    """The controls are a game's method alone, and each method as published."""
    spec = Spec.model_validate(
        {"name": "x", "methods": ["sg+scrub", "scrub"], "experiment": {"epochs": 2}}
    )
    game, plain = (cell.controls() for cell in spec.cells)
    assert [(c["method"], c["alpha"], c["epochs"]) for c in game] == [
        ("scrub", 0.0, 2), ("sg+scrub", 1.0, 2)
    ]  # fmt: skip
    assert [(c["method"], c["lr"]) for c in plain] == [("scrub", 5e-4)]


def test_a_bound_may_be_measured_from_a_reference():
    bound = Bound(at_most=0.02, above="retrain")
    assert (bound.excess(0.03), bound.excess(0.01)) == (pytest.approx(0.01), pytest.approx(-0.01))
    assert Bound(at_least=0.5, at_most=0.9).excess(0.4) == pytest.approx(0.1)


def searching(**domains: Any) -> dict[str, Any]:
    return SOUND | {"search": domains}


def fixed(**settings: Any) -> dict[str, Any]:
    return SOUND | {"experiment": settings}


def using(**entry: Any) -> dict[str, Any]:
    return {"name": "small", "methods": [{"method": "sg"} | entry]}


BROKEN: list[tuple[Any, str]] = [
    ("", "expected keys"),
    ("[1, 2]", "expected keys"),
    ("name: [", "not YAML"),
    ("{1: 2}", "unknown key 1"),
    ({"search": ALPHA}, "name: Field required"),
    (SOUND | {"trails": 3}, "unknown key trails: did you mean trials?"),
    (SOUND | {"original": "mine.pt"}, "original: is a setting of all trials: put it into `exper"),
    (SOUND | {"name": "../up"}, "name = "),
    (SOUND | {"name": ""}, "name = "),
    (SOUND | {"name": "cache"}, "name = 'cache'"),
    (SOUND | {"trials": 0}, "trials = 0"),
    (SOUND | {"trials": "many"}, "trials = 'many'"),
    (SOUND | {"slots": 0}, "slots = 0"),
    (SOUND | {"cpus_per_trial": 0}, "cpus_per_trial = 0"),
    (SOUND | {"cpus_per_trial": float("inf")}, "cpus_per_trial = inf"),
    (SOUND | {"gpus_per_trial": -1}, "gpus_per_trial = -1"),
    (SOUND | {"sampler": "cmaes"}, "sampler = 'cmaes'"),
    (SOUND | {"sampler_seed": "x"}, "sampler_seed = 'x'"),
    (SOUND | {"sampler": "grid"}, "search.alpha: a grid needs a list of values, or low, high and"),
    (
        searching(alpha=[1, 2], epochs={"low": 1, "high": 5, "step": 2})
        | {"sampler": "grid", "trials": 7},
        "trials = 7: the grid of search has 6 points",
    ),
    (
        {
            "name": "small",
            "sampler": "grid",
            "methods": [
                {"method": "sg", "search": {"alpha": [1, 2]}},
                {"method": "scrub", "search": {"epochs": [1, 2, 3]}},
            ],
        },
        "sampler = 'grid': the methods have grids of 2, 3 points",
    ),
    (SOUND | {"objectives": ["val_error"]}, "objectives: .* two or more"),
    (SOUND | {"objectives": ["val_error", "val_error"]}, "objectives: .* different"),
    (SOUND | {"objectives": ["val_error", "loveliness"]}, "objectives: .*loveliness"),
    (SOUND | {"objectives": ["val_error", "mia_acc"]}, "objectives: mia_acc .* use val_mia_acc"),
    (SOUND | {"objectives": "val_error"}, "objectives = 'val_error'"),
    (SOUND | {"experiment": [1]}, r"experiment = \[1\]"),
    (fixed(metod="sg"), "unknown key experiment.metod: did you mean method?"),
    (fixed(method="finetune"), "search.alpha: finetune plays no game; choose method sg\\+finetune"),
    (fixed(method="sg+sg"), "experiment.method = 'sg\\+sg': must be one of"),
    (fixed(method="scrubb"), "experiment.method = 'scrubb': must be one of"),
    (fixed(temperatures=3), "unknown key experiment.temperatures"),
    (fixed(epochs=0), "experiment.epochs = 0: the game needs an epoch"),
    (fixed(lr="fast"), "experiment.lr = 'fast'"),
    (fixed(lr=-1), "experiment.lr = -1"),
    (fixed(seed=1.5), "experiment.seed = 1.5"),
    (fixed(reg=0), "experiment.reg = 0"),
    (fixed(subset=0), "experiment.subset = 0"),
    (fixed(pretrain_epochs=0), "experiment.pretrain_epochs = 0"),
    (fixed(statistics="none"), "experiment.statistics = 'none'"),
    (fixed(alpha=1.0), "unknown key search.alpha"),
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
    (SOUND | {"data": 3}, "data: 3 must be a name, or a mapping with data"),
    (SOUND | {"data": [{"subset": 400}]}, "data: .* must be a name, or a mapping with data"),
    (SOUND | {"data": ["embedded", "embedded"]}, "data: 2 are called embedded: give each a `name`"),
    (SOUND | {"data": [{"data": "embedded", "name": "a/b"}]}, "data.0.name = 'a/b'"),
    (SOUND | {"data": [{"data": "embedded", "subst": 3}]}, "data.0.subst: did you mean subset?"),
    (SOUND | {"data": [{"data": "embedded", "seed": 3}]}, "unknown key data.0.seed"),
    (SOUND | {"data": [{"data": "embedded", "subset": 0}]}, "data.0.subset = 0"),
    (SOUND | {"data": [{"data": "embedded", "trials": 0}]}, "data.0.trials = 0"),
    (SOUND | {"data": [{"data": "embedded", "scenario": "biased"}]}, "data.0.scenario = 'biased'"),
    (fixed(data="embedded") | {"data": ["embedded"]}, "experiment.data: `data` names them"),
    (fixed(method="sg") | {"methods": ["sg"]}, "experiment.method: `methods` names them"),
    (SOUND | {"methods": ["sg", "scrubb"]}, "methods.1.method = 'scrubb': must be one of"),
    (SOUND | {"methods": [{"lr": 1}]}, "methods: .* must be a name, or a mapping with method"),
    (SOUND | {"methods": ["sg", "sg"]}, "methods: 2 are called sg"),
    (SOUND | {"methods": ["sg", "scrub"]}, "search.alpha: scrub plays no game"),
    (SOUND | {"methods": [{"method": "sg", "search": ALPHA}]}, "search: each method has its own"),
    (using(trials=3), "methods.0.trials = 3: all methods on a data set have the same budget"),
    (using(seconds=60), "methods.0.seconds = 60: all methods on a data set have the same budget"),
    (using(subset=400), "unknown key methods.0.subset"),
    (using(temperature=3), "unknown key methods.0.temperature"),
    (using(lr=-1), "methods.0.lr = -1"),
    (using(search={"lr": {"low": 2, "high": 1}}), "methods.0.search.lr: low = 2"),
    (using(search={"lrr": [0.1]}), "unknown key methods.0.search.lrr: did you mean lr?"),
    ({"name": "small", "experiment": {"method": "ssd", "select": 1.0, "dampen": 1.0}},
     "search: nothing is left to be searched for ssd"),
    (SOUND | {"seeds": 0}, "seeds = 0"),
    (SOUND | {"seeds": [0, 1]}, r"seeds = \[0, 1\]"),
    (SOUND | {"seconds": -1}, "seconds = -1"),
    (SOUND | {"oracles": -1}, "oracles = -1"),
    (SOUND | {"shadows": 3}, "shadows = 3: must be 0, or an even number from 4 on"),
    (SOUND | {"storage": ""}, "storage = ''"),
    (SOUND | {"objectives": ["val_error", "klom"]}, "klom: takes an audit of its own"),
    (SOUND | {"scheduler": "asha"}, "scheduler = 'asha'"),
    (SOUND | {"scheduler": {"hyperband": {}}}, "scheduler.hyperband"),
    (SOUND | {"scheduler": {"asha": {"factor": 1}}}, "scheduler.asha.factor = 1"),
    (SOUND | {"scheduler": {"asha": {}}, "objectives": ["val_error", "seconds"]},
     "scheduler.asha: seconds is known only at the end"),
    (SOUND | {"constraints": {"loveliness": {"at_most": 1}}}, "constraints.loveliness: is no"),
    (SOUND | {"constraints": {"test_acc": {"at_least": 1}}}, "constraints.test_acc: reads"),
    (SOUND | {"constraints": {"val_error": {}}}, "constraints.val_error: needs at_most"),
    (SOUND | {"constraints": {"val_error": {"at_most": 1, "above": "scrub"}}},
     "constraints.val_error.above = 'scrub'"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_what_is_wrong_is_one_line_that_names_the_key(tmp_path, content, message):
    with pytest.raises(SpecError, match=message) as caught:
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


@pytest.mark.parametrize("deep", ["[" * 5000 + "]" * 5000, "{a: " * 5000 + "1" + "}" * 5000])
def test_what_is_nested_too_deep_is_one_line(deep):
    with pytest.raises(SpecError, match=r"^spec: ") as caught:
        parse_spec(f"name: {deep}", "spec")
    assert "\n" not in str(caught.value)
    with pytest.raises(SpecError, match=r"^spec: "):
        parse_spec("name: mini", "spec", [f"trials={deep}"])
