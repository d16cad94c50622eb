"""Keys as Django writes them and the engine has to read them."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib.postgres.indexes import OpClass
from django.db import connection
from django.db.models import UniqueConstraint, Value
from django.db.models.functions import Coalesce, Lower

from integrity.dedupe import DedupeRule, make_plan
from tests.databases import Database
from tests.ponies.merging import merge
from tests.ponies.models import Colour, Odd


def test_an_operator_class_makes_no_difference_to_the_key(postgres_ponies: Database) -> None:
    constraint = UniqueConstraint(OpClass(Lower("name"), name="text_pattern_ops").desc(), name="one_colour")
    for slug, name in (("a", "Red"), ("b", "red")):
        Colour.objects.create(slug=slug, name=name)

    assert merge(DedupeRule(model="ponies.Colour", constraint=constraint)).removed == 1


def test_rows_that_have_nothing_but_a_key_are_identical(ponies: Database) -> None:
    for slug in ("a", "b"):
        Colour.objects.create(slug=slug, name="red")
    rule = DedupeRule(model="ponies.Colour", fields=("name",), conflict="identical-only")

    plan = make_plan(rule, apps=apps, using="default")

    assert (plan.identical, plan.conflicting, plan.staying) == (1, 0, 0)
    assert merge(rule).removed == 1


def test_a_key_of_which_django_does_not_know_the_type(ponies: Database) -> None:
    constraint = UniqueConstraint(Coalesce("name", Value("")), name="one_colour")
    for slug in ("a", "b"):
        Colour.objects.create(slug=slug, name="red")

    assert merge(DedupeRule(model="ponies.Colour", constraint=constraint)).removed == 1


def test_a_key_in_a_column_with_a_percent_sign(ponies: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        Odd.objects.create(name="same", order=1)
    with connection.cursor() as cursor:
        cursor.execute('ALTER TABLE "ponies select odd" RENAME COLUMN "order" TO "100%s"')
    monkeypatch.setattr(Odd._meta.get_field("order"), "column", "100%s")

    assert merge(DedupeRule(model="ponies.Odd", fields=("order",))).removed == 1
