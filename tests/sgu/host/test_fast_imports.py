"""The collector rests for as long as it is told to, and no longer."""

from __future__ import annotations

import gc

import pytest

from sgu.host.fast_imports import fast_imports


@pytest.mark.parametrize("was", [True, False])
def test_the_collector_is_afterwards_as_it_was(was, request):
    request.addfinalizer(gc.enable)
    (gc.enable if was else gc.disable)()
    with fast_imports():
        assert not gc.isenabled()
    assert gc.isenabled() is was


def test_a_failed_import_leaves_it_as_it_was():
    with pytest.raises(ModuleNotFoundError), fast_imports():
        import sgu.nothing_of_the_kind  # noqa: F401
    assert gc.isenabled()
