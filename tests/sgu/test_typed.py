"""Settings are read by their fields' types, on the command line, in YAML and in Python alike."""

from __future__ import annotations

import json
from typing import Literal

import pytest
import yaml
from typer.testing import CliRunner

from sgu.cli import app
from sgu.cli.shared import changes
from sgu.data.splits.scenarios import class_labels
from sgu.experiment import Experiment
from sgu.typed import typed
from tune.spec.errors import SpecError
from tune.spec.spec import parse_spec

SPEC = "name: mini\nsearch: {reg: [0.1, 0.2]}\n"
READ = [
    ("augment", "False", False), ("augment", "no", False), ("augment", "0", False),
    ("augment", "true", True), ("warm_start", "Yes", True), ("compile", "off", False),
    ("lr", ".01", 0.01), ("lr", "1e-3", 0.001), ("alpha", "1.", 1.0), ("alpha", "2", 2.0),
    ("weight_decay", ".0005", 0.0005), ("forget_fraction", ".2", 0.2),
    ("subset", "null", None), ("subset", "400", 400), ("data", "2024", "2024"),
    ("data", "007", "007"), ("data", '"2024"', "2024"), ("data", "null", "null"),
    ("data", "no", "no"), ("solve_every", "epoch", "epoch"), ("solve_every", "4", 4),
]  # fmt: skip
REFUSED = [
    ("augment", "maybe", "true or false"), ("warm_start", "2", "true or false"),
    ("subset", "None", "a whole number, or null"), ("batch_size", "abc", "a whole number"),
    ("seed", "1.5", "a whole number"), ("pretrain_epochs", "1.5", "a whole number, or null"),
    ("epochs", "1e3", "a whole number"), ("lr", "fast", "a number"), ("lr", "1,5", "a number"),
    ("lr", "true", "a number"), ("solve_every", "often", "a whole number, or epoch"),
    ("update", "both", "one of joint, alternate"), ("seed", "9" * 5000, "a whole number"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "value"), READ)
def test_a_text_is_read_by_its_field(name, text, value):
    settings = Experiment.of(**changes([f"{name}={text}"])).settings()
    assert settings[name] == value
    assert type(settings[name]) is type(value)
    cell = parse_spec(SPEC, "spec", [f"experiment.{name}={text}"]).cells[0]
    assert cell.base.settings()[name] == value


@pytest.mark.parametrize(("name", "text", "rule"), REFUSED)
def test_a_text_of_another_type_is_one_line(name, text, rule):
    result = CliRunner().invoke(app, ["--set", f"{name}={text}"])
    assert result.exit_code == 2, result.output
    assert result.stderr.endswith(f"must be {rule}\n")
    assert result.stderr.startswith(f"sgu: {name} = ")
    with pytest.raises(SpecError, match=rf"experiment\.{name} = .*must be {rule}"):
        parse_spec(SPEC, "spec", [f"experiment.{name}={text}"])


def test_options_have_the_same_errors_as_set():
    for words in (["--subset", "abc"], ["--set", "subset=abc"]):
        result = CliRunner().invoke(app, words)
        assert result.stderr == "sgu: subset = 'abc': must be a whole number, or null\n"


@pytest.mark.parametrize(
    ("written", "value"), [("data: 2024", "2024"), ("lr: 1e-3", 0.001), ("epochs: 3.0", 3)]
)
def test_yaml_is_read_by_the_same_types(written, value):
    name = written.split(":")[0]
    spec = parse_spec(f"{SPEC}experiment: {{{written}}}", "spec")
    assert spec.cells[0].base.settings()[name] == value


@pytest.mark.parametrize("written", ["data: 2024-01-01", "data: [a]", "epochs: true", "lr: [1]"])
def test_yaml_of_another_type_is_one_line(written):
    with pytest.raises(SpecError, match=r"experiment\.\w+ = .*: must be a "):
        parse_spec(f"{SPEC}experiment: {{{written}}}", "spec")


def test_what_is_written_reads_back():
    experiment = Experiment.of(
        data="2024", scenario="class", forget_classes='"2",cat,5', lr=".01", subset="null"
    )
    for read in (json.loads(json.dumps(experiment.settings())),
                 yaml.safe_load(yaml.safe_dump(experiment.settings()))):  # fmt: skip
        assert Experiment.of(**read) == experiment


def test_a_number_is_none_of_true_and_false_in_python_too():
    with pytest.raises(ValueError, match="lr = True: must be a number"):
        Experiment.of(lr=True)
    assert typed("x", int | Literal["epoch"], 3) == 3


NUMBERED = tuple(sorted(map(str, range(1, 13))))  # 1, 10, 11, 12, 2, ...


@pytest.mark.parametrize(
    ("wanted", "names", "labels"),
    [
        (("cat",), ("cat", "dog"), [0]),
        ((1,), ("cat", "dog"), [1]),
        (("dog", 0), ("cat", "dog"), [1, 0]),
        ((3,), tuple("0123"), [3]),
        (("2",), NUMBERED, [4]),  # in quotes: the name
        ((12,), NUMBERED, [3]),  # no class has this number
        ((0,), NUMBERED, [0]),  # no class has this name
    ],
)
def test_classes_are_taken_by_name_or_number(wanted, names, labels):
    assert class_labels(wanted, names) == labels


@pytest.mark.parametrize(
    ("wanted", "names", "reason"),
    [
        (2, NUMBERED, 'the name of class 4 and the number of class "11": give a name in quotes'),
        ("cta", ("cat", "dog"), r"no such class \(did you mean cat\?\): 0 \(cat\), 1 \(dog\)"),
        (2, ("cat", "dog"), "no such class"),
    ],
)
def test_a_class_that_is_none_or_two_is_one_line(wanted, names, reason):
    with pytest.raises(ValueError, match=reason):
        class_labels((wanted,), names)
