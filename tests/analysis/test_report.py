"""The page needs nothing from outside and hides nothing; a study's text is never markup."""

import json
import re

import pytest

from analysis import Study, load_study, write_report
from analysis.report import side_by_side
from analysis.report.study import Certified


@pytest.fixture(scope="module")
def text(page):
    return page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def judged_text(synthetic, tmp_path_factory):
    """Return the page of a study with a trial of each verdict."""
    path = tmp_path_factory.mktemp("judged") / "report.html"
    study = Study(synthetic.frame(*synthetic.judged_rows()))
    return write_report(study, path).read_text(encoding="utf-8")


def outside_scripts(page):
    """Return the page without its scripts' text."""
    return re.sub(r"(<script[^>]*>).*?</script>", r"\1", page, flags=re.DOTALL)


def test_nothing_is_loaded(text):
    markup = outside_scripts(text)
    assert not re.search(r"""(?:src|href)\s*=\s*["']?[^#"']""", markup)
    assert "@import" not in markup
    assert "url(" not in markup
    assert "default-src 'none'" in markup


def test_the_libraries_are_there_once(text):
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", text, flags=re.DOTALL)
    assert sum(len(script) > 300_000 for script in scripts) == 1
    assert len(text) < 1_600_000


def test_specifications_are_whole(text):
    names = re.findall(r'data-name="(\w+)"', text)
    specs = re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    assert names == [
        *("linked", "histograms", "importance", "alpha"),
        *("split", "epochs", "hypervolume"),
    ]
    for spec in specs:
        assert {"datasets", "config"} <= set(json.loads(spec))


def test_a_study_cannot_inject_markup(text):
    markup = outside_scripts(text)
    assert "loss is NaN &lt;script&gt;at step 7" in markup
    assert "&lt;/pre&gt;&lt;script&gt;alert(1)" in markup
    assert "&lt;b&gt;&amp;&lt;/b&gt;" in markup


def test_the_answer_comes_first_with_its_command(judged_text, text):
    first = judged_text[judged_text.index("<h1>") : judged_text.index('id="searched"')]
    assert "trial like, sg with alpha 0.1, is like retrained" in first
    assert 'data-name="answer"' in first
    assert "<pre>sgu --set alpha=0.1" in first
    assert "Not known: there is no verdict." in text[: text.index('id="searched"')]


def test_provenance_and_every_trial_stand_on_it(text, study):
    for trial_id in load_study(study)["trial_id"]:
        assert trial_id in text
    for value in ("abc1234", "d" * 64, "e" * 64, "worker-1", "2.14.0", "worse than the median"):
        assert value in text


def test_mixed_provenance_is_marked(study, tmp_path):
    frame = load_study(study).query("status != 'complete'").reset_index(drop=True)
    frame.loc[0, "code_version"] = "zzz9999"
    frame["code_dirty"] = True
    page = write_report(Study(frame), tmp_path / "r.html").read_text(encoding="utf-8")
    assert re.search(r'class="mixed">1 row:</span> <code>zzz9999', page)
    assert "uncommitted changes" in page


def test_a_study_that_only_failed_still_has_a_page(study, tmp_path):
    frame = load_study(study).query("status == 'failed'")
    page = write_report(Study(frame), tmp_path / "r.html").read_text(encoding="utf-8")
    assert "there is no front" in page
    assert "loss is NaN" in page


def test_a_sweep_of_sizes_alone_has_a_page(study, tmp_path):
    rows = load_study(study).query("alpha > 0").head(2)
    sweep = rows.assign(
        phase="scaling", dataset=["subset-1", "subset-2"], train_examples=[1, 2], seed=0
    )
    page = write_report(Study(sweep), tmp_path / "r.html").read_text(encoding="utf-8")
    assert re.findall(r'data-name="(\w+)"', page) == ["scaling"]


@pytest.mark.long
def test_two_studies_stand_side_by_side_each_judged_by_its_own(judged, judged_text, tmp_path):
    """The same rows under two names: each part of the page has both, with the same numbers."""
    other = judged.assign(study="other")
    certified = {("other", "like"): Certified(verdict="remembers", memory="40 %, 30 to 50")}
    both = side_by_side([Study(judged), Study(other, certified=certified)])
    page = write_report(both, tmp_path / "two.html").read_text(encoding="utf-8")
    for sentence, times in (
        ("trial like, sg with alpha 0.1, is like retrained", 2),
        ("sgu-report choose demo --audit", 1),  # the other has its audit
    ):
        assert page.count(sentence) == times * judged_text.count(sentence) > 0, sentence
    assert "its audit by fresh networks says remembers (40 %, 30 to 50), so do not use it" in page
    (cell,) = set(judged.loc[~judged["method"].isin(["original", "retrain"]), "cell"])
    for name in ("demo", "other"):
        assert f"<h2>{name}: {judged['dataset'].iloc[0]}</h2>" in page
        assert f">{name}: {cell}</a>" in page
    assert 'data-name="fronts"' in page
    with pytest.raises(ValueError, match="two studies are called demo"):
        side_by_side([Study(judged), Study(judged)])
