"""A rule that does not fit its model is refused in words before anything is read."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.apps.registry import Apps
from django.db.models import DateTimeField, Model, Q
from django.db.models.functions import Length

from integrity.dedupe import (
    DedupeRule,
    InvalidRule,
    Latest,
    Medoid,
    OrderByFields,
    StatusOrder,
    UnknownKeep,
    count_duplicates,
    make_plan,
)
from integrity.dedupe.fields import require_fields
from tests.databases import Database


@pytest.mark.parametrize(
    "key", ["toys", "companions", "foals", "passport", "ribbon", "labels", "pk", "sire__name", "nmae"]
)
def test_a_key_is_made_of_columns(key: str) -> None:
    with pytest.raises(
        InvalidRule, match=f"ponies.Pony has no field '{key}' that is a column. Choose from: code, foaled"
    ):
        count_duplicates(DedupeRule(model="ponies.Pony", fields=(key,)), apps=apps, using="default")


def test_a_composite_primary_key_is_no_column() -> None:
    with pytest.raises(InvalidRule, match=r"ponies.Lap has no field 'pk' that is a column. Choose from: clock, number"):
        count_duplicates(DedupeRule(model="ponies.Lap", fields=("pk",)), apps=apps, using="default")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fields": ("name",), "nulls": "same"}, "'same' is none of distinct, equal"),
        ({"constraint": "one_name", "nulls": "equal"}, "the constraint says what NULLs are"),
    ],
)
def test_what_nulls_are_is_said_once_and_in_known_words(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRule, match=words):
        DedupeRule(model="ponies.Pony", **options)


@pytest.mark.parametrize("options", [{"fields": ("tag",)}, {"fields": ("sparkle",), "ignore": ("tag",)}])
def test_a_column_of_the_parents_table_is_none_of_the_childs(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRule, match=r"'tag' of ponies.Unicorn is in the table of ponies.Animal"):
        count_duplicates(DedupeRule(model="ponies.Unicorn", **options), apps=apps, using="default")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"content": ("nmae",)}, "no field 'nmae'"),
        ({"ignore": ("nmae",)}, "no field 'nmae'"),
        ({"vector": "nmae"}, "no field 'nmae'"),
        ({"keep": (Medoid("nmae"),)}, "no field 'nmae'"),
        ({"clock": "nmae"}, "Cannot resolve keyword 'nmae'"),
        ({"keep": (Latest("nmae"),)}, "Cannot resolve keyword 'nmae'"),
        ({"keep": (StatusOrder("nmae", ("a",)),)}, "Cannot resolve keyword 'nmae'"),
        ({"keep": (StatusOrder("foaled", ("a",)),)}, "Field 'foaled' expected a number but got 'a'"),
        ({"keep": (Latest("foals__foaled"),)}, "'foals' is many values for one row of ponies.Pony"),
        ({"keep": (Latest("labels__text"),)}, "is many values for one row of ponies.Pony"),
        ({"keep": (OrderByFields((Length("nmae"),)),)}, "Cannot resolve keyword 'nmae'"),
        ({"keep": (OrderByFields((Length("foals__name"),)),)}, "'foals' is many values for one row of ponies.Pony"),
        ({"complete": (Q(nmae=1),)}, "Cannot resolve keyword 'nmae'"),
        ({"complete": (~Q(toys__name="ball"),)}, "is many values for one row of ponies.Pony"),
        ({"keep": Latest("foaled")}, r"`keep` takes a tuple. One of a single item is \(Latest\(field='foaled'\),\)"),
        ({"complete": Q(foaled=1)}, "`complete` takes a tuple"),
        ({"ignore": "code"}, r"`ignore` takes a tuple. One of a single item is \('code',\)"),
    ],
)
def test_what_a_rule_names_is_there(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRule, match=words):
        make_plan(DedupeRule(model="ponies.Pony", fields=("name",), **options), apps=apps, using="default")


@pytest.mark.parametrize(
    ("model", "key", "field"),
    [
        ("Pony", "name", "nmae"),
        ("Pony", "name", "id"),
        ("Pony", "name", "toys"),
        ("Pony", "name", "passport"),
        ("Unicorn", "sparkle", "tag"),
    ],
)
def test_only_columns_of_its_table_are_filled(ponies: Database, model: str, key: str, field: str) -> None:
    rule = DedupeRule(model=f"ponies.{model}", fields=(key,), merge={field: "max"})

    with pytest.raises(InvalidRule, match=f"there is no field '{field}' of table 'ponies_{model.lower()}'"):
        make_plan(rule, apps=apps, using="default")


def test_a_rule_may_look_at_what_a_row_references(sqlite_ponies: Database) -> None:
    rule = DedupeRule(
        model="ponies.Pony",
        fields=("name",),
        keep=(Latest("sire__foaled"), Latest("pk")),
        complete=(Q(passport__number="1"),),
    )

    assert make_plan(rule, apps=apps, using="default").redundant == 0


def test_two_signs_make_no_ordering(sqlite_ponies: Database) -> None:
    rule = DedupeRule(model="ponies.Pony", fields=("name",), keep=(OrderByFields(("--foaled",)),))

    with pytest.raises(UnknownKeep, match="no field '-foaled'"):
        make_plan(rule, apps=apps, using="default")


def test_a_field_that_is_named_twice_is_not_taken_for_another() -> None:
    class Sighting(Model):
        seen = DateTimeField()
        seen1 = DateTimeField()

        class Meta:
            app_label = "sightings"
            apps = Apps()

        def __str__(self) -> str:
            return f"{self.seen}"

    require_fields(
        DedupeRule(model="sightings.Sighting", fields=("id",), keep=(Latest("seen"),), clock="seen"), Sighting
    )
