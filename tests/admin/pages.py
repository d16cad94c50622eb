"""Short words for the admin's pages."""

from __future__ import annotations

from html import unescape
from typing import Any

from django.apps import apps
from django.test import Client

from integrity.dedupe import RunSummary, apply_plan, make_plan
from integrity.rules.embeddings import EMBEDDINGS

ADMIN = "/admin/integrity"


def page(browser: Client, path: str, *, status: int = 200) -> str:
    """Return the page at a path below the app's, with entities read, after checking its status."""
    response = browser.get(f"{ADMIN}/{path}")
    assert response.status_code == status, (path, response.status_code)
    return unescape(response.content.decode())


def messages_of(response: Any) -> list[str]:
    """Return what the page told the user at its top."""
    return [str(message) for message in response.context["messages"]]


def plan_embeddings() -> int:
    return make_plan(EMBEDDINGS, apps=apps, using="default").id


def apply(plan: int) -> RunSummary:
    return apply_plan(plan, EMBEDDINGS, apps=apps, using="default")


def run_embeddings() -> RunSummary:
    return apply(plan_embeddings())
