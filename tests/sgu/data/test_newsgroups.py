"""Texts: scikit-learn's own cache and archive, made small, and networks that learn from them."""

import codecs
import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import _twenty_newsgroups as published
from sklearn.utils import Bunch

from sgu.data.newsgroups import CACHE, PADDING, UNKNOWN, frequent, newsgroups, words_of
from sgu.data.pipeline import Pipeline
from sgu.data.sources import Source, load_source
from sgu.files.errors import DataError
from sgu.models import build
from sgu.training.inference import predict
from sgu.training.loop import Optimisation, train

GROUPS = ("comp.ink", "rec.oars", "sci.moss")
TOPICS = ("printer driver font", "river boat paddle", "forest spore lichen")
NOWHERE = "http://127.0.0.1:9/none"  # refuses at once


def post(body: str) -> str:
    """Return a message with a header, a quote, the body and a signature."""
    return f"From: headerword\nSubject: none\n\n> quoteword\n{body}\n\n-- footerword"


def posts(count: int, seed: int) -> Bunch:
    """Return messages of three groups; a third of their words belong to the topic."""
    draw = np.random.default_rng(seed)
    common = [f"word{i}" for i in range(40)]
    target = np.arange(count) % 3
    data = [
        post(" ".join([*draw.choice(common, 8), *draw.choice(TOPICS[group].split(), 4)]))
        for group in target
    ]
    return Bunch(data=data, target=target, target_names=list(GROUPS), filenames=np.array(data))


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SGU_DATA", str(tmp_path / "root"))
    monkeypatch.setattr(published, "ARCHIVE", published.ARCHIVE._replace(url=NOWHERE))
    return tmp_path / "root"


def write(root: Path, train: Bunch, test: Bunch) -> None:
    root.mkdir(parents=True, exist_ok=True)
    content = codecs.encode(pickle.dumps({"train": train, "test": test}), "zlib_codec")
    (root / CACHE).write_bytes(content)


@pytest.fixture
def corpus(root) -> Source:
    write(root, posts(150, 0), posts(60, 1))
    return load_source("newsgroups")


def test_the_source_is_scikit_learns(corpus):
    assert corpus.classes == GROUPS
    assert corpus.shape.text
    assert corpus.shape.length == 128
    assert corpus.vocabulary == 40 + 9 + 2
    assert corpus.train.inputs.dtype == torch.int32
    assert torch.equal(corpus.train.targets, torch.arange(150) % 3)
    assert (corpus.train.inputs != PADDING).sum(1).tolist() == [12] * 150  # of the body alone
    assert corpus.fingerprint == load_source("newsgroups").fingerprint


def test_tokens_are_the_most_frequent_words_of_train(root):
    bodies = ["Bee bee, BEE! cat cat ant ant", "dog don't", ""]
    train, test = posts(3, 0), posts(3, 0)
    train.data = [post(body) for body in bodies]
    test.data = [post(body) for body in ("zebra zebra zebra ant", "cat " * 9, "bee")]
    write(root, train, test)
    source = newsgroups(vocabulary=6, length=5)
    # bee 3, then the ties: ant and cat, then dog before don't, which does not fit
    bee, ant, cat, dog = 2, 3, 4, 5
    assert source.train.inputs.tolist() == [
        [bee, bee, bee, cat, cat],
        [dog, UNKNOWN, PADDING, PADDING, PADDING],
        [UNKNOWN, PADDING, PADDING, PADDING, PADDING],
    ]
    assert source.heldout.inputs[0].tolist() == [UNKNOWN, UNKNOWN, UNKNOWN, ant, PADDING]
    assert source.heldout.inputs[1].tolist() == [cat] * 5
    assert source.vocabulary == 6


def test_the_vocabulary_does_not_depend_on_the_order_of_the_texts():
    texts = words_of(["one two three", "two three four", "snake_case and 2nd"])
    assert frequent(texts, 100) == frequent(texts[::-1], 100)
    assert list(frequent(texts, 100))[:2] == ["three", "two"]
    assert texts[2] == ["snake", "case", "and", "2nd"]


def test_an_error_says_what_to_do_without_the_texts_and_a_network(root):
    with (
        pytest.raises(DataError, match=r"missing in .*root.*fetch_20newsgroups.*SGU_DATA"),
        pytest.warns(UserWarning, match="Retry"),
    ):
        newsgroups()
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"no pickle", codecs.encode(pickle.dumps({"train": 1}), "zlib_codec")]
)
def test_a_damaged_cache_is_named(root, capsys, content):
    root.mkdir()
    (root / CACHE).write_bytes(content)
    with pytest.raises(DataError, match=f"{CACHE}.*delete it"):
        newsgroups()
    assert capsys.readouterr().out == ""


@pytest.fixture
def archive(served, monkeypatch) -> None:
    """Serve the published archive, made small."""
    folder, url = served
    with tarfile.open(folder / "news.tar.gz", "w:gz") as tar:
        for name, part in (("train", posts(6, 0)), ("test", posts(3, 1))):
            for index, text in enumerate(part.data):
                info = tarfile.TarInfo(f"20news-bydate-{name}/{GROUPS[index % 3]}/{index}")
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text.encode("latin1")))
    checksum = hashlib.sha256((folder / "news.tar.gz").read_bytes()).hexdigest()
    remote = published.ARCHIVE._replace(url=f"{url}/news.tar.gz", checksum=checksum)
    monkeypatch.setattr(published, "ARCHIVE", remote)


@pytest.mark.usefixtures("root", "archive")
def test_missing_texts_are_downloaded_once(root, monkeypatch):
    source = newsgroups()
    assert (len(source.train), len(source.heldout)) == (6, 3)
    assert [path.name for path in root.iterdir()] == [CACHE]
    monkeypatch.setattr(published, "ARCHIVE", published.ARCHIVE._replace(url=NOWHERE))
    assert newsgroups().fingerprint == source.fingerprint


@pytest.mark.usefixtures("corpus")
@pytest.mark.parametrize(("name", "lr"), [("bag_of_embeddings", 0.01), ("transformer", 0.002)])
def test_a_network_learns_the_groups(name, lr):
    """Chance is a third."""
    corpus = newsgroups(length=16)
    model, pipeline = build(name, corpus.shape, 0), Pipeline.of(corpus.train.inputs)
    fast = Optimisation(epochs=6, lr=lr, optimiser="adamw", batch_size=25)
    train(model, corpus.train, torch.arange(len(corpus.train)), pipeline, fast, 0)
    for part in (corpus.train, corpus.heldout):
        correct = predict(model, part, pipeline).argmax(1) == part.targets
        assert correct.float().mean() > 0.9


@pytest.mark.parametrize("name", ["bag_of_embeddings", "transformer"])
def test_padding_does_not_count(corpus, name):
    """Its embedding does not either; an unlearning method may have moved it."""
    model = build(name, corpus.shape, 0).eval()
    tokens = corpus.train.inputs[:5].long()
    with torch.no_grad():
        padded, cut = model(tokens), model(tokens[:, :12])
        torch.testing.assert_close(padded, cut)
        model.embedding.weight[PADDING] = 100.0
        torch.testing.assert_close(model(tokens), padded)
        assert model(torch.zeros(1, 128, dtype=torch.int64)).isfinite().all()


def test_order_counts_for_the_transformer_alone(corpus):
    tokens = corpus.train.inputs[:5, :12].long()
    for name, counts in (("bag_of_embeddings", False), ("transformer", True)):
        model = build(name, corpus.shape, 0).eval()
        with torch.no_grad():
            same = torch.allclose(model(tokens), model(tokens.flip(1)), atol=1e-6)
        assert same != counts, name


def test_a_subset_keeps_the_vocabulary(corpus):
    part = load_source("newsgroups", subset=30)
    assert len(part.train) == 30
    assert part.shape == corpus.shape
