"""The admin in a real browser without JavaScript: what a person clicks to find duplicates and to undo a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from wsgiref.simple_server import WSGIServer, make_server

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application
from django.db import connections
from django.test import Client

from integrity.models import DedupeRun, Embedding
from tests.admin.chromium import PROGRAM, Chromium, chromium
from tests.admin.pages import run_embeddings
from tests.databases import Database

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium on the PATH"),
]


class _Server(WSGIServer):
    """Answers one request after another; its thread gives its database connection back after each."""

    def process_request(self, request: object, client_address: object) -> None:
        super().process_request(request, client_address)  # type: ignore[arg-type]
        connections.close_all()


@pytest.fixture
def address(dirty: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The site on a port of this machine."""
    monkeypatch.setattr("wsgiref.simple_server.WSGIRequestHandler.log_message", lambda *_: None)
    server = make_server("127.0.0.1", 0, StaticFilesHandler(get_wsgi_application()), server_class=_Server)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/admin/integrity"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def window(address: str, tmp_path: Path) -> Iterator[Chromium]:
    """A browser's window, logged in, in which pages run no scripts."""
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    with chromium(tmp_path / "profile") as window:
        window.without_javascript()
        window.log_in(address, client.cookies[settings.SESSION_COOKIE_NAME].value)
        yield window


def test_from_the_list_over_the_filter_to_the_comparison(window: Chromium, address: str) -> None:
    window.open(f"{address}/embedding/")

    assert "50 embeddings" in window.click("#changelist-filter a[href*=duplicates]")
    html = window.click(".field-compare a")

    assert "✓ stays" in html
    assert "≠ differs" in html


def test_undo_asks_first_and_can_be_declined_and_confirmed(window: Chromium, address: str) -> None:
    run = run_embeddings()
    window.open(f"{address}/deduperun/{run.id}/change/")

    assert "50 rows would return" in window.click(".object-tools a[href*=undo]")
    window.click(".closelink")
    assert DedupeRun.objects.get().state == "finished"
    window.click(".object-tools a[href*=undo]")
    html = window.click("input[type=submit].default")

    assert "is undone: 50 rows came back" in html
    assert DedupeRun.objects.get().state == "undone"
    assert Embedding.objects.count() == 326


@pytest.mark.parametrize("width", [320, 1300])
def test_wide_tables_scroll_in_their_own_frame_and_not_the_page(window: Chromium, address: str, width: int) -> None:
    run = run_embeddings()
    window.size(width, 900)

    window.open(f"{address}/deduperun/{run.id}/removed/")

    assert window.page_width() <= width
