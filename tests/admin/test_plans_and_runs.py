"""Plans and runs are shown with what they decided and did, and are never edited."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client

from integrity.dedupe import revise_plan
from integrity.models import DedupeRun, Embedding
from integrity.rules.embeddings import EMBEDDINGS
from tests.admin.pages import ADMIN, apply, page, plan_embeddings, run_embeddings
from tests.databases import Database


def test_a_plan_tells_what_it_decided(browser: Client) -> None:
    plan = plan_embeddings()

    html = page(browser, f"dedupeplan/{plan}/change/")

    for line in ("groups</th><td>25", "redundant rows</th><td>25", "incomplete</th><td>5", "conflicting</th><td>15"):
        assert line in html
    assert "complete first, then oldest by started_at, then smallest primary key" in html
    assert '<th scope="row">embeddingcluster</th><td>embedding_id</td>' in html


def test_the_groups_of_a_plan_can_be_walked_one_by_one(browser: Client) -> None:
    plan = plan_embeddings()

    first = page(browser, f"dedupeplan/{plan}/groups/1/")
    last = page(browser, f"dedupeplan/{plan}/groups/25/")

    assert f"/dedupeplan/{plan}/groups/2/" in first
    assert f"/dedupeplan/{plan}/groups/24/" in last
    assert f"/dedupeplan/{plan}/groups/26/" not in last
    assert "✓ stays" in first


def test_a_group_that_a_plan_leaves_as_it_is_says_why(browser: Client) -> None:
    plan = plan_embeddings()
    revise_plan(plan, EMBEDDINGS, apps=apps, using="default", exclude=[1])

    html = page(browser, f"dedupeplan/{plan}/groups/1/")

    assert "The plan leaves this group as it is:</strong> excluded by hand" in html
    assert "Which row stays" not in html


def test_a_row_that_was_changed_since_the_plan_is_marked(browser: Client) -> None:
    plan = plan_embeddings()
    Embedding.objects.update(completed_at="2031-01-01")

    assert "changed since the plan" in page(browser, f"dedupeplan/{plan}/groups/1/")


@pytest.mark.parametrize("path", ["dedupeplan/1/groups/0/", "dedupeplan/1/groups/26/", "dedupeplan/9/groups/1/"])
def test_unknown_groups_and_plans_are_not_found(browser: Client, path: str) -> None:
    plan_embeddings()

    page(browser, path, status=404)


def test_a_plan_of_a_rule_that_is_gone_says_so(browser: Client, dirty: Database) -> None:
    plan = plan_embeddings()
    dirty.execute("UPDATE integrity_plan SET rule = 'forgotten'")

    assert "There is no rule 'forgotten'" in page(browser, f"dedupeplan/{plan}/groups/1/")


def test_lists_of_plans_and_runs_give_their_counts(browser: Client) -> None:
    run_embeddings()

    assert '<td class="field-redundant">25</td>' in page(browser, "dedupeplan/")
    runs = page(browser, "deduperun/")
    assert '<td class="field-state">finished</td>' in runs
    assert '<td class="field-removed">25</td>' in runs


def test_a_run_tells_what_it_did_and_what_is_kept(browser: Client) -> None:
    run = run_embeddings()

    html = page(browser, f"deduperun/{run.id}/change/")

    assert "rows removed</th><td>25" in html
    assert f"references repointed</th><td>{run.repointed}" in html
    assert "colliding rows removed from other tables</th><td>25" in html
    assert f"/deduperun/{run.id}/removed/?table=integrity_quarantine_embeddingcluster_1" in html
    assert f"/deduperun/{run.id}/undo/" in html


def test_refusals_of_a_run_are_shown_with_their_reason(browser: Client) -> None:
    plan = plan_embeddings()
    Embedding.objects.filter(vector=None).update(completed_at="2031-01-01")
    run = apply(plan)

    html = page(browser, f"deduperun/{run.id}/change/")

    assert "a row was changed after the plan was made" in html
    assert "<td>5</td>" in html


def test_removed_rows_are_shown_table_by_table(browser: Client) -> None:
    run = run_embeddings()

    own = page(browser, f"deduperun/{run.id}/removed/")
    children = page(browser, f"deduperun/{run.id}/removed/?table=integrity_quarantine_embeddingcluster_1")

    assert "25 rows removed from <code>embedding</code>" in own
    assert own.count(f"/dedupeplan/{run.plan}/groups/") == 25
    assert '<em class="integrity-null">NULL</em>' in own
    assert "25 rows removed from <code>embeddingcluster</code>" in children


@pytest.mark.parametrize(
    "query", ["?table=embedding", "?table=auth_user", "?page=0", "?page=-1", "?page=x", "?page=²", "?page=" + "9" * 30]
)
def test_only_tables_and_pages_of_the_run_are_shown(browser: Client, query: str) -> None:
    run = run_embeddings()

    page(browser, f"deduperun/{run.id}/removed/{query}", status=404)


def test_removed_rows_need_permission_to_see_rows_of_that_table(browser_with: Callable[..., Client]) -> None:
    run = run_embeddings()
    browser = browser_with("view_deduperun", "view_embeddingcluster", "view_dedupeplan")

    page(browser, f"deduperun/{run.id}/removed/?table=integrity_quarantine_embedding_1", status=403)
    page(browser, f"dedupeplan/{run.plan}/groups/1/", status=403)
    assert "removed from <code>embeddingcluster</code>" in page(browser, f"deduperun/{run.id}/removed/")


def test_no_page_links_to_rows_that_the_user_may_not_see(browser_with: Callable[..., Client]) -> None:
    run = run_embeddings()
    browser = browser_with("view_deduperun", "view_dedupeplan", "view_embeddingcluster")

    pages = (f"deduperun/{run.id}/change/", f"deduperun/{run.id}/removed/", f"dedupeplan/{run.plan}/change/")
    html = "".join(page(browser, path) for path in pages)

    assert "?table=integrity_quarantine_embeddingcluster_1" in html
    assert "?table=integrity_quarantine_embedding_1" not in html
    assert "/groups/1/" not in html


def test_who_may_see_rows_of_no_table_sees_no_removed_rows(browser_with: Callable[..., Client]) -> None:
    run = run_embeddings()

    page(browser_with("view_deduperun"), f"deduperun/{run.id}/removed/", status=403)


@pytest.mark.parametrize("path", ["deduperun/add/", "deduperun/1/delete/", "dedupeplan/add/", "dedupeplan/1/delete/"])
def test_books_are_neither_added_nor_deleted_here(browser: Client, path: str) -> None:
    run_embeddings()

    assert browser.get(f"{ADMIN}/{path}").status_code == 403
    assert browser.post(f"{ADMIN}/{path}", {"post": "yes"}).status_code == 403
    assert DedupeRun.objects.count() == 1


def test_a_run_cannot_be_edited_by_who_may_undo_it(browser: Client) -> None:
    run = run_embeddings()

    assert browser.post(f"{ADMIN}/deduperun/{run.id}/change/", {"state": "undone"}).status_code == 403
    assert DedupeRun.objects.get().state == "finished"


def test_a_run_whose_quarantine_was_dropped_by_hand_can_still_be_seen(browser: Client) -> None:
    run = run_embeddings()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE integrity_quarantine_embeddingcluster_1")

    page(browser, f"deduperun/{run.id}/change/")
    page(browser, f"deduperun/{run.id}/removed/")


@pytest.mark.parametrize("pk", ["0", "99", "abc", "9" * 30])
def test_an_unknown_plan_or_run_leads_back_to_the_start(browser: Client, pk: str) -> None:
    for model in ("dedupeplan", "deduperun"):
        response = browser.get(f"{ADMIN}/{model}/{pk}/change/")
        assert (response.status_code, response["Location"]) == (302, "/admin/")
