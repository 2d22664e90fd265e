"""`sgu.audit`: verdicts on any network, by networks of the user's own training."""

from __future__ import annotations

import json

import numpy as np
import pytest
from torch import nn

import sgu
from sgu.api.networks import halves
from sgu.audit.feeding import fed_otherwise

RETAINED = list(range(60, 240))


class Fed(nn.Module):
    """A network that was trained on other inputs than those it is given."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(5 - 10 * x)


@pytest.fixture(scope="module")
def asked() -> list[tuple[list[int], int]]:
    """What `train` was called with."""
    return []


@pytest.fixture(scope="module")
def report(own, fit, before, asked) -> sgu.Report:
    def train(indices: list[int], seed: int) -> nn.Module:
        asked.append((indices, seed))
        return fit(indices, seed)

    models = {"before": before, "fed": Fed(before), "fresh": fit(RETAINED, 99)}
    return sgu.audit(models, own, train=train, retrained=5, shadows=4)


def test_a_network_that_was_never_unlearned_remembers(report):
    assert report.verdicts["before"].startswith("Remembers: residual memory")
    assert report.verdicts["original"].startswith("Remembers: residual memory 100 %")


def test_a_network_that_is_fed_otherwise_has_no_verdict(report):
    assert report.verdicts["fed"].startswith("No verdict: ")
    (asked,) = (note for note in report.findings.notes if note.startswith("fed: "))
    assert "is it fed as it was trained?" in asked


@pytest.mark.parametrize("name", ["fresh", "retrained"])
def test_a_network_that_never_saw_forget_is_not_accused(report, name):
    assert report.verdicts[name].split(":")[0] in ("Like retrained", "Undecided")


@pytest.mark.usefixtures("report")
def test_train_is_asked_for_networks_of_train_alone_each_with_its_own_seed(asked):
    indices, seeds = zip(*asked, strict=True)
    assert len(seeds) == len(set(seeds)) + 1 == 2 + 5 + 4  # the references share theirs
    assert indices[0] == list(range(240))
    assert all(chosen == RETAINED for chosen in indices[1:7])
    forgotten = [{i for i in chosen if i < 60} for chosen in indices[7:]]
    for one, other in (forgotten[:2], forgotten[2:]):
        assert not one & other
        assert one | other == set(range(60))
    assert all(set(RETAINED) < set(chosen) for chosen in indices[7:])


def test_a_held_out_example_counts_for_one_network_of_each_pair(own):
    design = halves(own, 3, 0)
    m = len(design.forget)
    assert not design.inside[:, m:].any()
    assert np.array_equal(design.inside[::2, :m], ~design.inside[1::2, :m])
    assert np.array_equal(design.outside[::2], ~design.outside[1::2])
    assert set(design.test.tolist()) <= set(own.splits.test.tolist())


def test_a_report_is_text_a_frame_json_and_a_page(report, tmp_path):
    text = str(report)
    assert "Residual memory" in text
    assert report.verdicts["before"].split(";")[0] in " ".join(text.split())
    frame = report.to_frame()
    assert {"model", "kind", "name", "value", "verdict"} <= set(frame.columns)
    assert set(frame["model"]) == {"original", "before", "fed", "fresh", "retrained"}
    plain = json.loads(json.dumps(report.to_dict()))
    assert plain["verdicts"] == report.verdicts
    with pytest.raises(ValueError, match="is a folder: name a file in it"):
        report.html(tmp_path)
    page = report.html(tmp_path / "deep" / "report.html").read_text()
    assert "float32 (1, 8, 8), as the data yield them" in page
    assert "How to repeat it" not in page
    assert repr(report).startswith("Report(original: Remembers, before: Remembers, fed: No verdict")


def test_networks_serve_again(report, own, before):
    again = sgu.audit({"before": before}, own, against=report)
    assert again.verdicts["before"] == report.verdicts["before"]
    part = own.source.train
    other = sgu.Task.of((part.inputs, part.targets), (part.inputs, part.targets), forget=[1, 2])
    with pytest.raises(ValueError, match="report on another task"):
        sgu.audit({"before": before}, other, against=report)


def test_without_train_there_is_no_verdict_and_why(own, before):
    report = sgu.audit({"before": before}, own)
    assert report.verdicts == {
        "before": "No verdict: there are no retrained models to compare with: give train."
    }
    assert "train was not given" in str(report)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"models": {"original": None}}, "original is the name of a network that train gives"),
        ({"models": {"mine": nn.Linear(3, 3)}}, "mine cannot take what train yields"),
        ({"models": nn.Linear(3, 3)}, "models is a Linear; need networks by name"),
        ({"retrained": 1}, "retrained = 1: must be 0, or >= 2"),
        ({"shadows": 3}, "shadows = 3: must be 0, or even"),
        ({"train": lambda *_: None}, "what train returns is a NoneType"),
    ],
)
def test_what_cannot_be_audited_is_named(own, before, arguments, message):
    arguments = {"models": {"before": before}, "train": lambda *_: before} | arguments
    with pytest.raises(ValueError, match=message):
        sgu.audit(arguments.pop("models"), own, **arguments)


def test_a_model_has_to_know_three_quarters_of_retain_beyond_chance():
    retrained = [{"retain_acc": 0.9}] * 3
    assert fed_otherwise({"retain_acc": 0.69}, retrained, 10)
    assert not fed_otherwise({"retain_acc": 0.71}, retrained, 10)


def test_the_call_works_whatever_was_imported_before():
    import sgu.audit.findings

    assert callable(sgu.audit)
    with pytest.raises(TypeError, match="task"):
        sgu.audit({})  # type: ignore[call-arg]
