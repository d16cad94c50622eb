"""A real browser without a window, driven over its debugging pipe: open, click, read, photograph."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip


class Chromium:
    """One page of a running browser."""

    def __init__(self, into: int, out: int) -> None:
        self._into, self._out = into, out
        self._buffer = b""
        self._numbers = itertools.count(1)
        self._session = ""
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._send("Page.enable")
        self._send("DOM.enable")

    def without_javascript(self) -> None:
        """Let pages run no scripts from now on."""
        self._send("Emulation.setScriptExecutionDisabled", value=True)

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """Set the window's size, and the colours that the user prefers."""
        self._send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])

    def log_in(self, url: str, session_key: str) -> None:
        """Give the browser the cookie of a session."""
        self._send("Network.setCookie", name="sessionid", value=session_key, url=url)

    def open(self, url: str) -> str:
        """Open a page and return its HTML as the browser understood it."""
        self._send("Page.navigate", url=url)
        self._wait_for("Page.loadEventFired")
        return self.html()

    def html(self) -> str:
        """Return the page as it is now."""
        return str(self._send("DOM.getOuterHTML", nodeId=self._root())["outerHTML"])

    def click(self, selector: str) -> str:
        """Click in the middle of an element that leads to another page, and return that page's HTML."""
        node = self._send("DOM.querySelector", nodeId=self._root(), selector=selector)["nodeId"]
        self._send("DOM.scrollIntoViewIfNeeded", nodeId=node)
        corners = self._send("DOM.getBoxModel", nodeId=node)["model"]["content"]
        x, y = (corners[0] + corners[4]) / 2, (corners[1] + corners[5]) / 2
        for kind in ("mousePressed", "mouseReleased"):
            self._send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self._wait_for("Page.loadEventFired")
        return self.html()

    def page_width(self) -> int:
        """Return how wide the page is: more than the window where one has to scroll sideways."""
        return int(self._send("Page.getLayoutMetrics")["cssContentSize"]["width"])

    def photograph(self, path: Path) -> None:
        """Save the whole page as a PNG."""
        picture = self._send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(picture["data"]))

    def _root(self) -> int:
        return int(self._send("DOM.getDocument")["root"]["nodeId"])

    def _send(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._into, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != number:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def _wait_for(self, event: str) -> None:
        while self._read().get("method") != event:
            pass

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            data = os.read(self._out, 1 << 16)
            assert data, "the browser has ended"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message


@contextmanager
def chromium(profile: Path) -> Iterator[Chromium]:
    """Start a browser with a profile folder of its own; end it, and all its processes, at the end."""
    assert PROGRAM
    their_in, our_out = os.pipe()
    our_in, their_out = os.pipe()
    # The browser reads commands from descriptor 3 and answers on 4, whatever numbers the pipes have here.
    shell = 'in=$1 out=$2; shift 2; exec 3<&"$in" 4>&"$out"; exec "$@"'
    process = subprocess.Popen(
        ["bash", "-c", shell, "-", str(their_in), str(their_out), PROGRAM, *_FLAGS, f"--user-data-dir={profile}"],
        pass_fds=(their_in, their_out),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(their_in)
    os.close(their_out)
    try:
        yield Chromium(our_out, our_in)
    finally:
        os.close(our_out)  # a closed pipe tells the browser to end
        os.close(our_in)
        process.wait(timeout=30)
