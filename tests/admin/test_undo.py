"""Undo: what it would do is shown first; it happens by POST alone, for those who may, and says what came of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client

from integrity.models import DedupeRun, Embedding
from tests.admin.pages import ADMIN, messages_of, page, run_embeddings
from tests.databases import Database
from tests.snapshots import snapshot


def undo_path(run_id: int) -> str:
    return f"{ADMIN}/deduperun/{run_id}/undo/"


def test_the_page_says_first_what_would_come_back_and_changes_nothing(browser: Client) -> None:
    run = run_embeddings()
    before = snapshot(own_books=True)

    html = page(browser, f"deduperun/{run.id}/undo/")

    assert "50 rows would return from quarantine" in html
    assert f"{run.repointed} references would point where they pointed before" in html
    assert snapshot(own_books=True) == before | {"django_session": snapshot(own_books=True)["django_session"]}


def test_confirmed_it_restores_every_table_and_says_so(browser: Client) -> None:
    before = snapshot()
    run = run_embeddings()

    response = browser.post(undo_path(run.id), follow=True)

    assert response.redirect_chain == [(f"{ADMIN}/deduperun/{run.id}/change/", 302)]
    (message,) = messages_of(response)
    assert message == (
        f"Run {run.id} is undone: 50 rows came back, {run.repointed} references point where they pointed before."
    )
    assert snapshot() == before


def test_who_undid_what_is_in_the_history(browser: Client) -> None:
    run = run_embeddings()
    browser.post(undo_path(run.id))

    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (User.objects.get(username="root"), str(run.id))
    assert "50 rows came back" in page(browser, f"deduperun/{run.id}/history/")


def test_what_cannot_go_back_is_told_before_and_after(browser: Client, dirty: Database) -> None:
    run = run_embeddings()
    dirty.execute("CREATE UNIQUE INDEX one_only ON embedding (invocation_id, embedding_model)")

    before = page(browser, f"deduperun/{run.id}/undo/")
    response = browser.post(undo_path(run.id), follow=True)

    assert "one_only of embedding is in place; lift it first" in before
    assert "There is nothing that could be undone" in before
    assert "<form method" not in before[before.index("What would come back") :]
    assert "one_only" in messages_of(response)[0]
    assert DedupeRun.objects.get().state == "finished"


def test_a_part_that_cannot_go_back_does_not_hold_the_others(browser: Client, dirty: Database) -> None:
    run = run_embeddings()
    ((survivor,),) = dirty.execute("SELECT integrity_survivor_1 FROM integrity_quarantine_embedding_1 LIMIT 1")
    Embedding.objects.filter(pk=survivor).update(completed_at="2031-01-01")

    html = page(browser, f"deduperun/{run.id}/undo/")
    (message,) = messages_of(browser.post(undo_path(run.id), follow=True))

    assert "the survivor was changed or deleted since" in html
    assert message.startswith(f"Run {run.id} is partially undone: 48 rows came back")
    assert "Not undone: 1 groups: the survivor was changed or deleted since" in message


def test_values_whose_column_is_gone_are_told_of_before_and_after(browser: Client, dirty: Database) -> None:
    run = run_embeddings()
    dirty.execute("ALTER TABLE embedding DROP COLUMN completed_at")

    html = page(browser, f"deduperun/{run.id}/undo/")
    messages = messages_of(browser.post(undo_path(run.id), follow=True))

    assert "rows of embedding come back without completed_at" in html
    assert [m for m in messages if "rows of embedding come back without completed_at" in m]


def test_a_run_is_not_undone_twice(browser: Client) -> None:
    run = run_embeddings()
    browser.post(undo_path(run.id))

    assert "undone already" in page(browser, f"deduperun/{run.id}/undo/")
    assert "undone already" in messages_of(browser.post(undo_path(run.id), follow=True))[0]
    assert "Undo…" not in page(browser, f"deduperun/{run.id}/change/")


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_nothing_but_post_undoes(browser: Client, method: str) -> None:
    run = run_embeddings()

    getattr(browser, method)(undo_path(run.id))

    assert DedupeRun.objects.get().state == "finished"


def test_a_post_from_elsewhere_is_refused(browser: Client) -> None:
    run = run_embeddings()
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser.cookies

    assert strict.post(undo_path(run.id)).status_code == 403
    assert DedupeRun.objects.get().state == "finished"


def test_the_token_in_the_page_is_the_one_that_is_asked_for(browser: Client) -> None:
    run = run_embeddings()
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser.cookies
    token = strict.get(undo_path(run.id)).context["csrf_token"]

    strict.post(undo_path(run.id), {"csrfmiddlewaretoken": str(token)})

    assert DedupeRun.objects.get().state == "undone"


def test_undoing_needs_permission_to_change_runs(browser_with: Callable[..., Client]) -> None:
    run = run_embeddings()
    browser = browser_with("view_deduperun")

    assert browser.get(undo_path(run.id)).status_code == 403
    assert browser.post(undo_path(run.id)).status_code == 403
    assert "Undo…" not in page(browser, f"deduperun/{run.id}/change/")
    assert DedupeRun.objects.get().state == "finished"


def test_permission_to_change_runs_is_enough_to_undo(browser_with: Callable[..., Client]) -> None:
    run = run_embeddings()

    browser_with("change_deduperun").post(undo_path(run.id))

    assert DedupeRun.objects.get().state == "undone"


def test_an_unknown_run_is_not_found(browser: Client) -> None:
    assert browser.get(undo_path(99)).status_code == 404
    assert browser.post(undo_path(99)).status_code == 404
