"""A small server on loopback that speaks OpenAI's ``/v1/embeddings``, and misbehaves as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from integrity.pipeline.providers.offline import OfflineProvider
from tests.waiting import PATIENCE


@dataclass(kw_only=True)
class Script:
    """What the next answers are; after the last one all is well.

    Each is a status with headers, or a word: ``hang``, ``trickle``, ``headers`` (that
    trickle), ``endless`` (JSON in a body without a length, then no end), ``cut``, ``drop``, ``short``, ``reordered``,
    ``doubled``, ``wide``, ``nan``, ``huge``, ``html``, ``empty``, ``numbers``, ``unnumbered``, ``no list``, ``deep``.
    """

    answers: list[str | tuple[int, dict[str, str]]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    dimensions: int = 48
    released: threading.Event = field(default_factory=threading.Event)
    """Ends what hangs."""


@contextmanager
def openai_server(script: Script) -> Iterator[str]:
    """Serve on a free port of loopback; yield the base URL."""

    class Handler(_Handler):
        pass

    Handler.script = script
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            script.released.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    script: Script
    protocol_version = "HTTP/1.0"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.script.requests.append(body)
        answer = self.script.answers.pop(0) if self.script.answers else ""
        if isinstance(answer, tuple):
            status, headers = answer
            self._say(status, json.dumps({"error": {"message": f"status {status}"}}), headers)
        elif answer == "hang":
            self.script.released.wait(PATIENCE)
        elif answer == "trickle":
            self._say(200, "", {})
            self._trickle(b" ")
        elif answer == "endless":
            self._say(200, json.dumps(self._embeddings(body, answer)), {})
            self._trickle(b"\n")
        elif answer == "headers":
            self.wfile.write(b"HTTP/1.0 200 OK\r\n")
            self._trickle(b"X-Slow: yes\r\n")
        elif answer == "cut":
            self._say(200, "{", {"Content-Length": "1000"})
        elif answer == "deep":
            self._say(200, "[" * 100_000, {})
        elif answer == "html":
            self._say(200, "<html>It works!</html>", {"Content-Type": "text/html"})
        elif answer != "drop":
            self._say(200, json.dumps(self._embeddings(body, answer)), {})

    def _trickle(self, part: bytes) -> None:
        with suppress(ConnectionError):  # the client has had enough
            for _ in range(100):
                self.script.released.wait(0.02)
                self.wfile.write(part)

    def _embeddings(self, body: dict[str, Any], flaw: str) -> dict[str, Any]:
        width = self.script.dimensions + (flaw == "wide")
        vectors = OfflineProvider(dimensions=width).embed(body["input"]).tolist()
        data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
        if flaw == "nan":
            data[0]["embedding"][0] = float("nan")
        if flaw == "huge":
            data[0]["embedding"][0] = 10**400
        if flaw == "doubled":
            data[-1]["index"] = 0
        if flaw == "unnumbered":
            data[0]["index"] = None
        changed = {
            "short": data[:-1],
            "reordered": data[::-1],
            "empty": [],
            "numbers": [0, 1],
            "no list": 7,
        }.get(flaw, data)
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return {"object": "list", "data": changed, "model": body["model"], "usage": usage}

    def _say(self, status: int, text: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""
