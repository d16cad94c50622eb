"""The pages of a stranger's model: its own ModelAdmin says who sees which rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest
from django.contrib.admin import ModelAdmin
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from pytest_django import Settings

from integrity import rules
from integrity.dedupe import DedupeRule
from integrity.rules import registry
from tests.databases import Database
from tests.ponies.models import Colour, Comb, Dye

pytestmark = pytest.mark.urls("tests.admin.own_site")
COLOURS = "/admin/ponies/colour"


@pytest.fixture(autouse=True)
def same_names(ponies: Database) -> Iterator[None]:
    """Colours of one name are duplicates, and so are combs of one name."""
    rules.register(DedupeRule(name="combs", model="ponies.Comb", fields=("name",)))
    rules.register(DedupeRule(name="colours", model="ponies.Colour", fields=("name",)))
    yield
    del registry._RULES["colours"], registry._RULES["combs"]


@pytest.fixture
def root(ponies: Database) -> Client:
    """A superuser's browser."""
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def clerk(ponies: Database) -> Client:
    """The browser of a member of staff who may see colours."""
    user = User.objects.create_user("clerk", is_staff=True)
    kind = ContentType.objects.get_for_model(Colour)
    user.user_permissions.add(
        Permission.objects.get_or_create(content_type=kind, codename="view_colour", defaults={"name": "view"})[0]
    )
    client = Client()
    client.force_login(user)
    return client


def make(*slugs: str) -> None:
    """Colours of one name."""
    for slug in slugs:
        Colour.objects.create(slug=slug, name="red")


def page(browser: Client, path: str, *, status: int = 200) -> str:
    response = browser.get(f"{COLOURS}/{path}")
    assert response.status_code == status, (path, response.status_code)
    return unescape(response.content.decode())


@pytest.mark.parametrize("hidden", ["secret", "locked"])
def test_the_comparison_shows_no_row_that_the_models_pages_hide(root: Client, clerk: Client, hidden: str) -> None:
    make(hidden, "shown-1", "shown-2")
    Dye.objects.create(colour_id="shown-2", price=5)

    whole, part = (page(browser, "shown-1/duplicates/") for browser in (root, clerk))

    assert hidden in whole
    assert "smallest primary key" in whole
    assert hidden not in part
    assert "3 rows of ponies_colour" in part.replace("<code>", "").replace("</code>", "")
    assert "1 of them is not on your pages" in part
    assert "Which row stays, and why" not in part
    assert part.count("✗ goes") == 2
    assert "<td>0</td><td>1</td>" in part


def test_a_row_that_the_models_pages_hide_has_no_comparison(root: Client, clerk: Client) -> None:
    make("secret", "locked", "shown")

    for slug, status in (("secret", 404), ("locked", 403)):
        page(root, f"{slug}/duplicates/")
        page(clerk, f"{slug}/duplicates/", status=status)


@pytest.mark.parametrize("name", ["admin/ponies/colour/change_form.html", "package/change_form.html"])
def test_a_page_that_a_project_or_a_package_brings_stays_and_gets_the_links(
    root: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    theirs = (
        '{% extends "admin/change_form.html" %}{% block field_sets %}<p>languages</p>{{ block.super }}{% endblock %}'
    )
    loaders = [
        ("django.template.loaders.locmem.Loader", {name: theirs}),
        "django.template.loaders.app_directories.Loader",
    ]
    [engine] = settings.TEMPLATES
    settings.TEMPLATES = [{**engine, "APP_DIRS": False, "OPTIONS": {**engine["OPTIONS"], "loaders": loaders}}]
    if name.startswith("package"):
        monkeypatch.setattr(ModelAdmin, "change_form_template", name)
    make("item")

    html = page(root, "item/change/")

    assert "<p>languages</p>" in html
    assert f'<a href="{COLOURS}/item/duplicates/?rule=colours">' in html


def test_a_link_to_a_row_leads_to_that_row_and_to_no_other(root: Client) -> None:
    make("item_22", 'item"')

    html = page(root, "item_5F22/duplicates/")

    links = re.findall(rf'<a href="{COLOURS}/(\S+/change/)">(\S+)</a>', html)
    assert sorted(slug for _, slug in links[-2:]) == ['item"', "item_22"]
    for path, slug in links:
        assert f"<h2>Colour object ({slug})</h2>" in page(root, path)


def test_a_row_without_an_address_spoils_no_list(root: Client) -> None:
    make("", "last")

    html = page(root, "?duplicates=colours")

    assert "2 colours" in html
    assert re.findall(r'href="([^"]+)">compare<', html) == [f"{COLOURS}/last/duplicates/?rule=colours"]
    assert "2 rows of" in page(root, "last/duplicates/")


def test_rows_of_a_table_in_another_schema_are_compared(root: Client, ponies: Database) -> None:
    if ponies.vendor == "sqlite":
        assert root.get("/admin/ponies/comb/1/duplicates/").status_code == 404
        return
    Comb.objects.create(name="wide")
    Comb.objects.create(name="wide")

    html = root.get("/admin/ponies/comb/?duplicates=combs").content.decode()
    [first, second] = re.findall(r'href="([^"]+)">compare<', html)

    for path in (first, second):
        assert "2 rows of" in root.get(path).content.decode()
