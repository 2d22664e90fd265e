"""The page needs nothing from outside and hides nothing; text of a study is never markup."""

import json
import re

import pytest

from analysis import load_epochs, load_study, write_report


@pytest.fixture
def page(study, tmp_path):
    spec = (study / "spec.yaml").read_text() + "# </pre><script>alert(1)</script>\n"
    path = write_report(
        load_study(study), load_epochs(study), path=tmp_path / "r.html", spec_text=spec
    )
    return path.read_text(encoding="utf-8")


def outside_scripts(page):
    """The page without its scripts' text."""
    return re.sub(r"(<script[^>]*>).*?</script>", r"\1", page, flags=re.DOTALL)


def test_nothing_is_loaded(page):
    markup = outside_scripts(page)
    assert not re.search(r"""(?:src|href)\s*=\s*["']?[^#"']""", markup)
    assert "@import" not in markup
    assert "url(" not in markup
    assert "default-src 'none'" in markup


def test_the_libraries_are_there_once(page):
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, flags=re.DOTALL)
    assert sum(len(script) > 300_000 for script in scripts) == 1
    assert len(page) < 1_600_000


def test_specifications_are_whole(page):
    found = re.findall(
        r'<script type="application/json" id="spec-(\w+)">(.*?)</script>', page, re.DOTALL
    )
    assert [name for name, _ in found] == ["front", "effect", "split", "epochs"]
    specs = {name: json.loads(text) for name, text in found}
    assert specs["front"]["width"] == "container"
    assert "chosen" in json.dumps(specs["effect"])


def test_a_study_cannot_inject_markup(page):
    markup = outside_scripts(page)
    assert "loss is NaN &lt;script&gt;at step 7" in markup
    assert "&lt;/pre&gt;&lt;script&gt;alert(1)" in markup
    assert "&lt;b&gt;&amp;&lt;/b&gt;" in markup


def test_provenance_and_every_trial_stand_on_it(page, study):
    for trial_id in load_study(study)["trial_id"]:
        assert trial_id in page
    for text in ("abc1234", "d" * 64, "e" * 64, "worker-1", "2.14.0", "worse than the median"):
        assert text in page


def test_mixed_provenance_is_marked(study, tmp_path):
    frame = load_study(study)
    frame.loc[0, "code_version"] = "zzz9999"
    frame["code_dirty"] = True
    page = write_report(frame, None, path=tmp_path / "r.html").read_text(encoding="utf-8")
    assert re.search(r'class="mixed">1 trials?:</span> <code>zzz9999', page)
    assert "uncommitted changes" in page


def test_a_study_that_only_failed_still_has_a_page(study, tmp_path):
    frame = load_study(study).query("status == 'failed'")
    page = write_report(frame, None, path=tmp_path / "r.html").read_text(encoding="utf-8")
    assert "there is no front" in page
    assert "loss is NaN" in page
