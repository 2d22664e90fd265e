"""A store that fails for a moment is asked again, with one warning, and asked little."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator

import pytest

from sgu.files.location import Location
from tune.search.journal import Journal
from tune.storage.store import Store


@pytest.fixture
def failing(s3, bucket, make_proxy) -> Iterator[tuple]:
    """A proxy before the store of the tests, and a folder that is reached through it."""
    host, port = s3.split(":")
    with make_proxy(int(port)) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        address = bucket("failing").replace(s3, f"{host}:{proxy.server_port}")
        yield proxy, Location.at(address), address
        proxy.shutdown()


def requests(proxy, action: Callable[[], object]) -> list[tuple[str, str]]:
    """Return the requests that an action takes: methods and paths."""
    before = len(proxy.requests)
    action()
    return [(method, path) for _, method, path in proxy.requests[before:]]


@pytest.mark.parametrize("fault", ["503", "cut"])
def test_what_fails_for_a_moment_is_done_in_the_end(failing, fault):
    proxy, folder, _ = failing
    file = folder.inside("a")
    file.write(b"first")
    proxy.fault = fault
    threading.Timer(1.5, setattr, (proxy, "fault", "")).start()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert file.read() == b"first"
    assert len(told) == 1
    assert "a: does not answer" in str(told[0].message)


def test_a_file_takes_one_request_and_a_run_of_a_study_few(failing, trial_row):
    proxy, folder, address = failing
    store = Store(folder.path, "small", address)
    assert [method for method, _ in requests(proxy, lambda: store.trial(trial_row("0000")))] == [
        "PUT"
    ]


def test_the_journal_is_continued_and_never_written_anew(failing):
    proxy, folder, _ = failing
    journal = Journal(folder)
    journal.append_logs([{"op_code": 0, "study_name": "a", "directions": [1]}])
    journal.publish()
    written = set[str]()
    for number in range(3):
        made = requests(proxy, lambda number=number: journal.append_logs([{"number": number}]))
        assert [method for method, _ in made] == ["PUT"]
        written |= {path for _, path in made}
    assert len(written) == 3
    assert [log.get("number") for log in Journal.stored(folder).read_logs(1)] == [0, 1, 2]
