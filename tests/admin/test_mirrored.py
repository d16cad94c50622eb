"""The mirrored tables: every row can be seen, none can be changed, and large tables are not counted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

import pytest
from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from integrity.admin import paging
from integrity.admin.mirrored import PAGES, EmbeddingAdmin, register_mirrored
from integrity.models import (
    CourseFile,
    Embedding,
    FileChunk,
    Invocation,
    PatternLineageNode,
    PatternQualityMetric,
    WorkflowExecution,
)
from tests.admin.pages import ADMIN, page
from tests.databases import Database

MODELS = [model for pages in PAGES.values() for model in pages]


def name_of(model: type) -> str:
    return str(model._meta.model_name)  # type: ignore[attr-defined]


def fill_the_other_systems() -> None:
    """One row in each table of the systems that the demo's data leaves empty."""
    file = CourseFile.objects.create(course_id=uuid4(), name="f", original_name="f.pdf", storage_path="/f")
    FileChunk.objects.create(file=file, chunk_index=0, content="text " * 1000, metadata={"a": ["<b>"]})
    PatternQualityMetric.objects.create(pattern_id=uuid4(), quality_score=0.5, confidence=0.5)
    PatternLineageNode.objects.create(
        pattern_id="p", pattern_name="n", pattern_type="t", lineage_id=uuid4(), pattern_data={}, correlation_id=uuid4()
    )
    WorkflowExecution.objects.create(workflow_id="w", workflow_type="t", entity_type="e", entity_id=uuid4())


def test_every_table_has_a_list_and_a_page_for_each_row(browser: Client) -> None:
    fill_the_other_systems()

    for model in MODELS:
        page(browser, f"{name_of(model)}/")
        row = model.objects.first()
        if row is not None:
            assert str(row.pk) in page(browser, f"{name_of(model)}/{row.pk}/change/")


def test_only_active_systems_have_pages(settings: Settings) -> None:
    settings.INTEGRITY_SYSTEMS = ["patterns", "workflows"]
    site = AdminSite()

    register_mirrored(site)

    assert set(site._registry) == {PatternQualityMetric, PatternLineageNode, WorkflowExecution}


@pytest.mark.parametrize("systems", [["workflows", "worflows"], "workflows"])
def test_a_system_that_is_none_has_no_pages_and_is_left_to_the_check(settings: Settings, systems: object) -> None:
    settings.INTEGRITY_SYSTEMS = systems
    site = AdminSite()

    register_mirrored(site)

    assert set(site._registry) == ({WorkflowExecution} if isinstance(systems, list) else set())


def test_an_embedding_of_an_invocation_that_is_gone_is_listed_and_marked(browser: Client) -> None:
    orphan = Embedding.objects.exclude(invocation__in=Invocation.objects.all()).get()

    assert str(orphan.pk) in page(browser, f"embedding/?q={orphan.pk}")
    assert "dangling: there is no such invocation" in page(browser, f"embedding/{orphan.pk}/change/")


def test_vectors_are_shortened_and_malformed_ones_called_so(browser: Client) -> None:
    good, bad = Embedding.objects.exclude(vector=None)[:2]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE embedding SET vector = %s WHERE id = %s", [b"\x01\x02\x03", bad.pk.hex])

    assert "768 numbers, norm" in page(browser, f"embedding/?q={good.pk}")
    assert "malformed vector, 3 bytes" in page(browser, f"embedding/?q={bad.pk}")
    assert "malformed vector, 3 bytes: 01 02 03" in page(browser, f"embedding/{bad.pk}/change/")


def test_times_are_shown_to_the_microsecond(browser: Client) -> None:
    row = Embedding.objects.exclude(vector=None)[0]
    Embedding.objects.filter(pk=row.pk).update(started_at=datetime(2026, 1, 2, 3, 4, 5, 678901))

    assert "2026-01-02 03:04:05.678901" in page(browser, f"embedding/{row.pk}/change/")


def test_stored_text_is_escaped(browser: Client) -> None:
    row = Embedding.objects.all()[0]
    Embedding.objects.filter(pk=row.pk).update(embedding_model="<script>alert(1)</script>")

    for path in ("embedding/", f"embedding/{row.pk}/change/", f"embedding/{row.pk}/duplicates/"):
        html = browser.get(f"{ADMIN}/{path}").content
        assert b"<script>alert" not in html
        assert b"&lt;script&gt;alert" in html or path == "embedding/"


@pytest.mark.parametrize("spelled", [str, lambda pk: pk.hex])
def test_an_id_is_found_with_dashes_and_without(browser: Client, spelled: Callable[..., str]) -> None:
    row, other = Embedding.objects.all()[:2]

    found = page(browser, f"embedding/?q={spelled(row.pk)}")

    assert f"embedding/{row.pk}/change" in found
    assert f"embedding/{other.pk}/change" not in found


def test_an_embedding_is_found_by_its_invocation(browser: Client) -> None:
    row = Embedding.objects.all()[0]

    assert f"embedding/{row.pk}/change" in page(browser, f"embedding/?q={row.invocation_id}")


@pytest.mark.parametrize("word", ["nothing", "%", "'; DROP TABLE embedding; --", "é" * 500])
def test_a_word_that_is_no_id_finds_nothing_and_breaks_nothing(browser: Client, word: str) -> None:
    response = browser.get(f"{ADMIN}/embedding/", {"q": word})

    assert response.status_code == 200
    assert "0 embeddings" in response.content.decode()


@pytest.mark.parametrize("action", ["add/", "{}/delete/"])
def test_nobody_adds_or_deletes_a_row_here(browser: Client, action: str) -> None:
    row = Embedding.objects.all()[0]

    for send in (browser.get, browser.post):
        assert send(f"{ADMIN}/embedding/{action.format(row.pk)}").status_code == 403


def test_a_changed_form_that_is_sent_anyway_is_refused(browser: Client) -> None:
    row = Embedding.objects.all()[0]

    response = browser.post(f"{ADMIN}/embedding/{row.pk}/change/", {"embedding_model": "other"})

    assert response.status_code == 403
    assert Embedding.objects.get(pk=row.pk).embedding_model == row.embedding_model


def test_a_list_costs_the_same_statements_however_many_rows_it_shows(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def statements(size: int) -> int:
        monkeypatch.setattr(EmbeddingAdmin, "list_per_page", size)
        with CaptureQueriesContext(connection) as captured:
            page(browser, "embedding/")
        return len(captured)

    assert statements(2) == statements(100)


def test_a_list_leaves_images_in_the_database(browser: Client) -> None:
    with CaptureQueriesContext(connection) as captured:
        page(browser, "invocation/")

    assert not [query for query in captured if "output_image_data" in query["sql"]]


def test_a_large_table_is_estimated_and_not_counted(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "COUNTED", 100)

    with CaptureQueriesContext(connection) as captured:
        html = page(browser, "embedding/")

    counts = [query["sql"] for query in captured if "COUNT" in query["sql"] and "embedding" in query["sql"]]
    assert "326 embeddings" in html
    assert "LIMIT 101" in counts[0]


def test_a_long_filtered_list_says_that_it_is_cut(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "COUNTED", 100)

    assert "rows match; these are the first of them" in page(browser, "embedding/?embedding_model=Dummy")


def test_a_column_that_a_deployment_lacks_is_left_out(browser: Client, dirty: Database) -> None:
    metric = PatternQualityMetric.objects.create(pattern_id=uuid4(), quality_score=0.5, confidence=0.5)
    dirty.execute("ALTER TABLE pattern_quality_metrics DROP COLUMN updated_at")

    page(browser, "patternqualitymetric/")
    html = page(browser, f"patternqualitymetric/{metric.pk}/change/")

    assert "Updated at" not in html
    assert "Created at" in html


def test_damaged_ids_are_told_in_words(sqlite_database: Database) -> None:
    """In a column of type UUID, SQLite keeps an id that looks like a number as one."""
    sqlite_database.execute("DROP TABLE embeddingcluster")
    sqlite_database.execute(
        "CREATE TABLE embeddingcluster "
        "(id UUID PRIMARY KEY, embedding_id UUID, clustering_result_id UUID, cluster_id UUID)"
    )
    damaged = "067efbb1025d7e008000000000000000"
    sqlite_database.execute("INSERT INTO embeddingcluster VALUES (?, ?, ?, ?)", ["12345678" * 4, damaged, "a", "b"])
    browser = Client()
    browser.force_login(User.objects.create_superuser("root"))

    assert "holds a value that does not fit its column" in page(browser, "embeddingcluster/")
    response = browser.get(f"{ADMIN}/embeddingcluster/{'12345678' * 4}/change/", follow=True)
    assert "holds a value that does not fit its column" in response.content.decode()


def test_a_member_of_staff_sees_only_what_the_permissions_name(browser_with: Callable[..., Client]) -> None:
    browser = browser_with("view_embedding")

    index = page(browser, "")
    assert "/integrity/embedding/" in index
    assert "/integrity/invocation/" not in index
    page(browser, "embedding/")
    page(browser, "invocation/", status=403)
    page(browser, "deduperun/", status=403)


def test_a_visitor_is_sent_to_the_login(dirty: Database) -> None:
    for path in ("embedding/", "deduperun/1/undo/", "deduperun/1/removed/", "dedupeplan/1/groups/1/"):
        response = Client().get(f"{ADMIN}/{path}")
        assert response.status_code == 302
        assert response["Location"].startswith("/admin/login/")
