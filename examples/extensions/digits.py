"""1,797 grey digits of 8 x 8 pixels, which come with scikit-learn: an example of a data source."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits

from sgu.data.base import Source, make_source
from sgu.data.examples import Examples

HELDOUT = 600


def digits() -> Source:
    """Return the digits; the last 600 are held out."""
    images, labels = load_digits(return_X_y=True)
    inputs = torch.tensor(images * 15.9).to(torch.uint8).view(-1, 1, 8, 8)  # 0..16 as bytes
    targets = torch.tensor(labels).long()
    train = Examples(inputs[:-HELDOUT], targets[:-HELDOUT])
    return make_source("digits", train, Examples(inputs[-HELDOUT:], targets[-HELDOUT:]))
