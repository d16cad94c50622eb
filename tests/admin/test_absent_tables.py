"""A system whose tables are not in this database is hidden, and its addresses say what is missing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connections
from django.test import Client

from integrity.models import Embedding
from tests.admin.pages import ADMIN, page
from tests.databases import Database


@pytest.fixture
def without_workflows(dirty: Database) -> Database:
    dirty.execute("DROP TABLE workflow_executions")
    return dirty


@pytest.mark.usefixtures("without_workflows")
def test_a_model_without_its_table_is_hidden(browser: Client) -> None:
    index = browser.get("/admin/").content.decode()

    assert "Workflow executions" not in index
    assert "Embeddings" in index


@pytest.mark.usefixtures("without_workflows")
@pytest.mark.parametrize("path", ["", "1/change/", "1/history/", "?q=a", "?status=failed", "x/duplicates/"])
def test_its_pages_say_which_table_is_missing_and_what_to_do(browser: Client, path: str) -> None:
    html = page(browser, f"workflowexecution/{path}", status=404)

    if "duplicates" not in path:
        assert "has no table workflow_executions" in html.replace("<code>", "").replace("</code>", "")
        assert "manage.py migrate integrity --database default" in html


@pytest.mark.usefixtures("without_workflows")
def test_who_may_not_see_the_rows_does_not_learn_that_the_table_is_missing(browser_with: Callable[..., Client]) -> None:
    page(browser_with("view_embedding"), "workflowexecution/", status=403)


def test_a_reference_to_an_absent_table_is_shown_without_asking_for_it(browser: Client, dirty: Database) -> None:
    row = Embedding.objects.all()[0]
    cascade = " CASCADE" if dirty.vendor == "postgresql" else ""
    dirty.execute(f"DROP TABLE invocation{cascade}")

    page(browser, "embedding/")

    assert str(row.invocation_id) in page(browser, f"embedding/{row.pk}/change/")


@pytest.mark.parametrize("path", ["deduperun/", "deduperun/1/undo/", "deduperun/1/removed/", "dedupeplan/1/groups/1/"])
def test_a_database_without_books_says_so(browser: Client, dirty: Database, path: str) -> None:
    for table in ("integrity_run", "integrity_plan", "integrity_side_table"):
        dirty.execute(f"DROP TABLE {table}")

    html = page(browser, path, status=404)

    assert "manage.py migrate integrity" in html


def test_a_table_that_vanishes_while_it_is_compared_is_told_in_words(browser: Client, dirty: Database) -> None:
    row = Embedding.objects.all()[0]
    dirty.execute("ALTER TABLE embedding DROP COLUMN started_at")

    html = browser.get(f"{ADMIN}/embedding/{row.pk}/duplicates/").content.decode()

    assert "lacks column" in html


def test_a_database_that_the_app_does_not_know_is_told_of(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections["default"], "vendor", "microsoft")

    index = browser.get("/admin/")

    assert "this app knows PostgreSQL" in index.content.decode()
    assert "Embeddings" not in index.content.decode()
