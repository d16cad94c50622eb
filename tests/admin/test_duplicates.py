"""The filter "has duplicates", and the page that shows one group's rows side by side."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import uuid4

from django.apps import apps
from django.contrib import admin
from django.test import Client

from integrity import rules
from integrity.admin import DuplicatesMixin
from integrity.dedupe import DedupeRule, with_duplicates
from integrity.models import Embedding, WorkflowExecution
from integrity.rules import registry
from integrity.rules.embeddings import EMBEDDINGS
from tests.admin.pages import page
from tests.snapshots import snapshot

FILTERED = "embedding/?duplicates=embeddings"


def crashed() -> Embedding:
    """The older row of a pair, the placeholder of a worker that crashed."""
    return Embedding.objects.filter(vector=None).order_by("started_at")[0]


def twin_of(row: Embedding) -> Embedding:
    return Embedding.objects.exclude(pk=row.pk).get(
        invocation_id=row.invocation_id, embedding_model=row.embedding_model
    )


def test_the_filter_lists_exactly_the_rows_of_duplicate_groups(browser: Client) -> None:
    html = page(browser, f"{FILTERED}&all=")

    listed = set(re.findall(r"/embedding/([0-9a-f-]{36})/change/", html))
    expected = Embedding.objects.filter(with_duplicates(EMBEDDINGS, apps=apps, using="default"))
    assert listed == {str(pk) for pk in expected.values_list("pk", flat=True)}
    assert len(listed) == 50


def test_rows_of_one_group_stand_next_to_each_other_and_lead_to_their_comparison(browser: Client) -> None:
    html = page(browser, FILTERED)

    keys = re.findall(r'field-cell"><a href="/admin/integrity/invocation/([0-9a-f-]{36})/', html)
    assert len(keys) == 50
    assert keys[0::2] == keys[1::2]
    links = re.findall(r'href="(/admin/integrity/embedding/[^"]+/duplicates/\?rule=embeddings)"', html)
    assert len(links) == 50
    assert browser.get(links[0]).status_code == 200


def test_without_the_filter_all_rows_are_listed_and_no_comparison_is_offered(browser: Client) -> None:
    html = page(browser, "embedding/")

    assert "Has duplicates (embeddings)" in html
    assert "326 embeddings" in html
    assert "/duplicates/" not in html


def test_a_filter_for_a_rule_that_does_not_exist_filters_nothing(browser: Client) -> None:
    assert "326 embeddings" in page(browser, "embedding/?duplicates=nonsense")


def test_the_page_says_which_row_stays_and_why(browser: Client) -> None:
    row = crashed()

    html = page(browser, f"embedding/{row.pk}/duplicates/")

    assert "complete: vector is 3072 bytes; the next best row is not: vector is empty" in html
    stays = html.index("✓ stays")
    goes = html.index("✗ goes: incomplete")
    assert stays < goes
    cells = html[html.index("<tbody>") :]
    assert cells.index(twin_of(row).pk.hex if twin_of(row).pk.hex in cells else str(twin_of(row).pk)) < cells.index(
        row.pk.hex if row.pk.hex in cells else str(row.pk)
    )


def test_fields_that_differ_are_marked_in_words_and_the_others_are_not(browser: Client) -> None:
    html = page(browser, f"embedding/{crashed().pk}/duplicates/")

    lines = re.findall(r"<tr[^>]*>\s*<th scope=\"row\">(.*?)</th>", html, re.DOTALL)
    marked = {line.split()[0] for line in lines if "≠ differs" in line}
    assert marked == {"started_at", "completed_at", "vector"}
    assert {"id", "invocation_id", "embedding_model"} <= {line.split()[0] for line in lines} - marked


def test_the_table_can_be_read_by_a_screen_reader(browser: Client) -> None:
    html = page(browser, f"embedding/{crashed().pk}/duplicates/")

    table = html[html.index('<table class="integrity-group">') : html.index("</table>", html.index("integrity-group"))]
    assert "<caption" in table
    assert not re.findall(r"<th(?! scope)", table.replace("<thead", ""))
    assert 'role="region" aria-labelledby="group-caption" tabindex="0"' in html


def test_a_rows_own_page_leads_to_its_duplicates(browser: Client) -> None:
    row = crashed()

    assert f"/embedding/{row.pk}/duplicates/?rule=embeddings" in page(browser, f"embedding/{row.pk}/change/")


def test_a_row_without_duplicates_is_said_to_have_none(browser: Client) -> None:
    single = Embedding.objects.exclude(with_duplicates(EMBEDDINGS, apps=apps, using="default"))[0]

    assert "This row has no duplicates" in page(browser, f"embedding/{single.pk}/duplicates/")


def test_unknown_rows_and_rules_are_not_found(browser: Client) -> None:
    page(browser, f"embedding/{uuid4()}/duplicates/", status=404)
    page(browser, "embedding/no-id/duplicates/", status=404)
    page(browser, f"embedding/{crashed().pk}/duplicates/?rule=nonsense", status=404)
    page(browser, f"experimentrun/{crashed().invocation.run_id}/duplicates/", status=404)


def test_comparing_needs_permission_to_see_the_rows(browser_with: Callable[..., Client]) -> None:
    path = f"embedding/{crashed().pk}/duplicates/"
    browser = browser_with("view_invocation")

    page(browser, path, status=403)


def test_looking_changes_nothing(browser: Client) -> None:
    before = snapshot()

    page(browser, FILTERED)
    page(browser, f"embedding/{crashed().pk}/duplicates/")

    assert snapshot() == before


def test_any_model_that_a_rule_speaks_of_gets_the_filter(browser: Client, monkeypatch: object) -> None:
    plain = {"workflow_type": "t", "entity_type": "e"}
    same = uuid4()
    first, _, _ = (
        WorkflowExecution.objects.create(workflow_id=name, entity_id=entity, **plain)
        for name, entity in (("a", same), ("b", same), ("c", uuid4()))
    )
    rule = rules.register(DedupeRule(name="starts", model="integrity.WorkflowExecution", fields=("entity_id",)))
    try:
        assert "2 workflow executions" in page(browser, "workflowexecution/?duplicates=starts")
        assert "smallest primary key" in page(browser, f"workflowexecution/{first.pk}/duplicates/?rule=starts")
    finally:
        del registry._RULES[rule.name]


def test_the_mixin_fits_a_plain_model_admin(browser: Client) -> None:
    class PlainAdmin(DuplicatesMixin):
        list_display = ("id", "embedding_model")

    site = admin.AdminSite(name="admin")
    pages = PlainAdmin(Embedding, site)

    assert next(url.name for url in pages.get_urls()) == "integrity_embedding_duplicates"
