"""A real browser, headless: Chromium over its DevTools pipe; nothing else has to be installed."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
         "--disable-dev-shm-usage", "--remote-debugging-pipe")  # fmt: skip
LIMIT = 60.0  # seconds that any step may take


class Browser:
    """One tab. Commands go to file descriptor 3 as JSON; answers and events come from 4. Each ends
    with a zero byte (https://chromedevtools.github.io/devtools-protocol)."""

    def __init__(self, profile: Path):
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        words = " ".join([f'"{CHROMIUM}"', *FLAGS, f'--user-data-dir="{profile}"', "about:blank"])
        self.process = subprocess.Popen(
            ["bash", "-c", f"exec {words} 3<&{theirs_in} 4>&{theirs_out}"],
            pass_fds=(theirs_in, theirs_out),
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.read, self.write, self.rest, self.number = ours_in, ours_out, b"", 0
        self.complaints: list[str] = []
        self.session = ""
        targets = self.call("Target.getTargets")["targetInfos"]
        (page,) = [target for target in targets if target["type"] == "page"]
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return a command's result; raise a RuntimeError with the browser's message."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self.number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def open(self, path: Path, width: int, height: int = 900) -> None:
        """Show a file in a window of that width, and wait until it is drawn."""
        self.complaints.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.until("document.readyState === 'complete' && document.body.dataset.drawn === 'yes'")

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, as JSON."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + LIMIT
        while not self.value(expression):
            assert time.monotonic() < end, f"{expression} does not hold; {self.complaints}"
            time.sleep(0.05)

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 8) -> None:
        """Drag with the left button from one point of the window to another."""
        (x0, y0), (x1, y1) = start, end
        self._mouse("mouseMoved", x0, y0, 0)
        self._mouse("mousePressed", x0, y0, 1)
        for step in range(1, steps + 1):
            part = step / steps
            self._mouse("mouseMoved", x0 + part * (x1 - x0), y0 + part * (y1 - y0), 1)
        self._mouse("mouseReleased", x1, y1, 0)

    def click(self, x: float, y: float) -> None:
        self.drag((x, y), (x, y), steps=1)

    def close(self) -> None:
        with contextlib.suppress(OSError, RuntimeError, AssertionError):
            self.session = ""
            self.call("Browser.close")
        self.process.wait(LIMIT)
        os.close(self.read)
        os.close(self.write)

    def _mouse(self, event: str, x: float, y: float, buttons: int) -> None:
        self.call(
            "Input.dispatchMouseEvent", type=event, x=x, y=y, button="left", buttons=buttons,
            clickCount=0 if event == "mouseMoved" else 1,
        )  # fmt: skip

    def _next(self) -> dict[str, Any]:
        """Return the next message; keep the page's errors and warnings in `complaints`."""
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.read], [], [], LIMIT)
            assert ready, f"the browser sent nothing for {LIMIT:.0f} s"
            self.rest += os.read(self.read, 1 << 20) or b'{"id": -1}\0'
        text, _, self.rest = self.rest.partition(b"\0")
        message = json.loads(text)
        event, params = message.get("method"), message.get("params", {})
        if event == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"])[:500])
        if event == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(params["args"])[:500])
        if event == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])
        return message


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    chromium = Browser(tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()
