"""The page in a real browser: no errors, drags filter, headings sort, nothing overflows."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.long
GREY = "#c9c9c9"
LINKED = "document.querySelector('[data-name=linked]')"


@pytest.fixture
def tab(browser, page):
    browser.open(page, 1280)
    return browser


def box(browser, expression):
    """Scroll to an element and return its left, top, right and bottom in the window."""
    return browser.value(
        f"(() => {{ const e = {expression}; e.scrollIntoView({{block: 'center', behavior: "
        "'instant'}); const b = e.getBoundingClientRect();"
        "return [b.left, b.top, b.right, b.bottom]; })()"
    )


def plane(browser):
    """Return the box in which the front is drawn."""
    return box(browser, f"{LINKED}.querySelector('.mark-group.role-scope .background')")


def grey(browser, mark):
    """Return how many marks, line or symbol, are grey."""
    side = "stroke" if mark == "line" else "fill"
    return browser.value(
        f"[...{LINKED}.querySelectorAll('.mark-{mark} path')]"
        f".filter(path => path.getAttribute('{side}') === '{GREY}').length"
    )


def shown(browser):
    return browser.value(
        "[...document.querySelectorAll('#all tbody tr')].filter(r => !r.hidden).length"
    )


@pytest.mark.parametrize("width", [1280, 390])
def test_there_are_no_errors_and_nothing_overflows(browser, page, width):
    browser.open(page, width)
    assert browser.complaints == []
    assert browser.value("document.documentElement.scrollWidth") == width
    charts = browser.value(
        "[...document.querySelectorAll('.chart')].map(c => [c.dataset.name, c.scrollWidth, "
        "c.clientWidth, c.querySelectorAll('svg.marks').length])"
    )
    for name, needed, room, drawings in charts:
        assert drawings == 1, name
        assert needed <= room, name


def test_a_drag_across_the_front_filters_charts_and_table(tab):
    left, top, right, bottom = plane(tab)
    before = [grey(tab, mark) for mark in ("symbol", "line")]
    everything = shown(tab)
    tab.drag((left + 3, bottom - 3), ((left + right) / 2, (top + bottom) / 2))
    tab.until("document.querySelector('#shown').textContent.includes(' of ')")
    inside = shown(tab)
    assert 0 < inside < everything
    after = [grey(tab, mark) for mark in ("symbol", "line")]
    assert all(now > then for now, then in zip(after, before, strict=True))
    tab.click(right - 8, top + 8)
    tab.until("!document.querySelector('#shown').textContent.includes(' of ')")
    assert shown(tab) == everything
    assert [grey(tab, mark) for mark in ("symbol", "line")] == before
    assert tab.complaints == []


def test_a_drag_on_an_axis_keeps_the_lines_that_pass(tab):
    left, top, right, bottom = box(tab, f"[...{LINKED}.querySelectorAll('.mark-line')].at(-1)")
    assert grey(tab, "line") == 0
    tab.drag((left - 4, top + 2), (left + 12, (top + bottom) / 2))
    lines = tab.value(f"{LINKED}.querySelectorAll('.mark-line path').length")
    tab.until(
        f"[...{LINKED}.querySelectorAll('.mark-line path')]"
        f".some(mark => mark.getAttribute('stroke') === '{GREY}')"
    )
    assert 0 < grey(tab, "line") < lines
    assert right > left


def test_a_heading_sorts_and_sorts_back_with_what_is_missing_last(tab):
    headings = "[...document.querySelectorAll('#all th')]"
    column = f"{headings}.findIndex(heading => heading.textContent.startsWith('val error'))"
    values = (
        f"(() => {{ const at = {column}; return [...document.querySelectorAll('#all tbody tr')]"
        ".map(r => r.cells[at].dataset.key).map(k => k === '' ? null : +k); })()"
    )
    orders = []
    for _ in range(2):
        left, top, right, bottom = box(
            tab, f"document.querySelectorAll('#all th')[{column}].firstElementChild"
        )
        tab.click((left + right) / 2, (top + bottom) / 2)
        orders.append(tab.value(values))
    rising, falling = ([value for value in order if value is not None] for order in orders)
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert [order[-2:] for order in orders] == [[None, None]] * 2


def test_a_trial_opens_its_exact_configuration(tab):
    opened = "document.querySelector('#all details')"
    left, top, right, bottom = box(tab, f"{opened}.firstElementChild")
    tab.click((left + right) / 2, (top + bottom) / 2)
    tab.until(f"{opened}.open")
    assert '"alpha"' in tab.value(f"{opened}.querySelector('pre').textContent")
