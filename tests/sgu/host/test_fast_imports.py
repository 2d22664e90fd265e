"""The garbage collector is off within the block only."""

from __future__ import annotations

import gc

import pytest

from sgu.host.fast_imports import fast_imports


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_afterwards_as_it_was(enabled, request):
    request.addfinalizer(gc.enable)
    (gc.enable if enabled else gc.disable)()
    with fast_imports():
        assert not gc.isenabled()
    assert gc.isenabled() is enabled


def test_a_failed_import_leaves_it_as_it_was():
    with pytest.raises(ModuleNotFoundError), fast_imports():
        import sgu.nothing_of_the_kind  # noqa: F401
    assert gc.isenabled()
