"""A worker's share of a card, and its end when the card's context is broken."""

from __future__ import annotations

import os

import pytest
import torch

from tune.worker.setup import CONTEXT, memory_fraction, replaced_if_broken

CARD = 80 * 2**30


@pytest.mark.parametrize("trials", [1, 2, 4, 8])
def test_all_trials_and_the_driver_fit_on_a_card(trials):
    each = memory_fraction(1 / trials, CARD) * CARD + CONTEXT
    assert trials * each + CONTEXT == pytest.approx(CARD)


def test_a_share_without_memory_is_refused():
    with pytest.raises(RuntimeError, match=r"gpus_per_trial = 0\.02 leaves no memory"):
        memory_fraction(0.02, 16 * 2**30)


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, ValueError])
def test_other_errors_leave_the_worker_alive(kind):
    with pytest.raises(kind), replaced_if_broken():
        raise kind("no memory")


def test_a_broken_context_ends_the_process():
    """Every later call would answer with the same error, and use up the study's budget."""
    child = os.fork()
    if child == 0:
        with replaced_if_broken():
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
