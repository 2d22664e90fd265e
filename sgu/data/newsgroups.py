"""20 Newsgroups: who wrote to which of 20 groups, from the text alone (K. Lang, 1995).

The split by date and the removal of headers, footers and quotes are scikit-learn's.
"""

import http.client
import os
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import torch
from sklearn.datasets import fetch_20newsgroups
from torch import Tensor

from sgu.data.base import Source, make_source
from sgu.data.examples import Examples
from sgu.data.memmap import root
from sgu.data.published import patience
from sgu.files.errors import DataError

CACHE = "20news-bydate_py3.pkz"  # scikit-learn's name for it
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
PADDING, UNKNOWN = 0, 1
Words = list[list[str]]


def newsgroups(vocabulary: int = 10_000, length: int = 128) -> Source:
    """11,314 and 7,532 texts of 20 groups, as the first `length` words of each.

    vocabulary: at most so many tokens; PADDING, UNKNOWN, and the most frequent words of train.
    """
    folder = _folder()
    train, heldout = (_read(folder, part) for part in ("train", "test"))
    texts, held_texts = words_of(train.data), words_of(heldout.data)
    known = frequent(texts, vocabulary - 2)
    return make_source(
        "newsgroups",
        Examples(tokens(texts, known, length), torch.as_tensor(train.target).long()),
        Examples(tokens(held_texts, known, length), torch.as_tensor(heldout.target).long()),
        tuple(train.target_names),
        vocabulary=len(known) + 2,
    )


def words_of(texts: Sequence[str]) -> Words:
    """The words of each text, in lower case."""
    return [WORD.findall(text.lower()) for text in texts]


def frequent(texts: Words, count: int) -> dict[str, int]:
    """The `count` most frequent words and their tokens, from 2; ties in the order of the words."""
    occurrences = Counter(word for text in texts for word in text)
    ranked = sorted(occurrences, key=lambda word: (-occurrences[word], word))
    return {word: token for token, word in enumerate(ranked[:count], UNKNOWN + 1)}


def tokens(texts: Words, known: dict[str, int], length: int) -> Tensor:
    """int32 (N, length): the first words of each text; a text of no words is one UNKNOWN."""
    rows = torch.full((len(texts), length), PADDING, dtype=torch.int32)
    for row, text in zip(rows, texts, strict=True):
        found = [known.get(word, UNKNOWN) for word in text[:length]] or [UNKNOWN]
        row[: len(found)] = torch.tensor(found, dtype=torch.int32)
    return rows


def _folder() -> Path:
    """The root, with scikit-learn's cache in it; it is fetched, whole or not at all, if it is not.

    A set that was fetched by scikit-learn itself is in ~/scikit_learn_data.
    """
    folder = root()
    if not (folder / CACHE).is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix="unfinished-") as temporary:
                with patience():
                    fetch_20newsgroups(data_home=temporary, n_retries=1)
                os.replace(Path(temporary) / CACHE, folder / CACHE)
        except (OSError, http.client.HTTPException) as error:
            raise DataError(
                f"newsgroups: {CACHE} is missing in {folder}, and the download failed ({error}): "
                "fetch it where there is a network (sklearn.datasets.fetch_20newsgroups writes it "
                "to ~/scikit_learn_data) and put it there, or set SGU_DATA to the folder that has "
                "it"
            ) from error
    return folder


def _read(folder: Path, part: str):
    """scikit-learn's Bunch of a part, in the order stored."""
    try:
        with redirect_stdout(None):  # it would print what is raised here
            return fetch_20newsgroups(
                data_home=folder,
                subset=part,
                shuffle=False,
                remove=("headers", "footers", "quotes"),
                download_if_missing=False,
            )
    except (OSError, KeyError, AttributeError, TypeError) as error:
        raise DataError(
            f"{folder / CACHE}: not scikit-learn's cache of the texts ({error}): delete it; it is "
            "then fetched anew"
        ) from error
