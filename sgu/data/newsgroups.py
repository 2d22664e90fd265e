"""20 Newsgroups: the group that a message was sent to, from its text alone (K. Lang, 1995).

The split by date and the removal of headers, footers and quotes are scikit-learn's.
"""

import os
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import torch
from sklearn.datasets import fetch_20newsgroups
from torch import Tensor

from sgu.data.base import Source, make_source
from sgu.data.download import downloading
from sgu.data.examples import Examples
from sgu.data.memmap import data_folder
from sgu.files.errors import DataError

CACHE = "20news-bydate_py3.pkz"  # scikit-learn's name for it
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
PADDING, UNKNOWN = 0, 1
Words = list[list[str]]


def newsgroups(vocabulary: int = 10_000, length: int = 128) -> Source:
    """Return 11,314 + 7,532 texts of 20 groups, as the first `length` words of each.

    vocabulary: the most tokens: PADDING, UNKNOWN, and the most frequent words of train.
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
    """Return the words of each text, in lower case."""
    return [WORD.findall(text.lower()) for text in texts]


def frequent(texts: Words, count: int) -> dict[str, int]:
    """Return the tokens, from 2, of the `count` most frequent words; ties in alphabetical order."""
    occurrences = Counter(word for text in texts for word in text)
    ranked = sorted(occurrences, key=lambda word: (-occurrences[word], word))
    return {word: token for token, word in enumerate(ranked[:count], UNKNOWN + 1)}


def tokens(texts: Words, known: dict[str, int], length: int) -> Tensor:
    """Return the first words of each text, int32 (N, length); an empty text is one UNKNOWN."""
    padded = torch.full((len(texts), length), PADDING, dtype=torch.int32)
    for line, text in zip(padded, texts, strict=True):
        encoded = [known.get(word, UNKNOWN) for word in text[:length]] or [UNKNOWN]
        line[: len(encoded)] = torch.tensor(encoded, dtype=torch.int32)
    return padded


def _folder() -> Path:
    """Return the data folder, after downloading scikit-learn's cache of the texts if it lacks."""
    folder = data_folder()

    def advice(error: Exception) -> str:
        return (
            f"newsgroups: {CACHE} is missing in {folder}, and the download failed ({error}): fetch "
            "it on a machine with a network (sklearn.datasets.fetch_20newsgroups writes it to "
            "~/scikit_learn_data) and put it there, or set SGU_DATA to the folder that has it"
        )

    if not (folder / CACHE).is_file():
        with downloading(folder, advice) as temporary:
            fetch_20newsgroups(data_home=temporary, n_retries=1)
            os.replace(temporary / CACHE, folder / CACHE)
    return folder


def _read(folder: Path, part: str):
    """Return scikit-learn's Bunch of a part, in the order stored."""
    try:
        with redirect_stdout(None):  # scikit-learn would print the error as well
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
            "then downloaded again"
        ) from error
