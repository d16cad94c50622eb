"""Columns whose types cannot be compared, ordered, summed or hashed, as keys and where values are to be merged."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps

from integrity.dedupe import DedupeRule, InvalidRule, Latest, count_duplicates, make_plan
from tests.databases import Database
from tests.ponies.merging import column, merge, rows_of, twins
from tests.ponies.models import Pony


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("money", ("1", "1.00", "2")),
        ("bit(3)", ("101", "101", "111")),
        ("varbit", ("10", "10", "100")),
        ("tsvector", ("a b", "b a", "c")),
    ],
)
def test_a_key_that_has_no_hash_is_found_by_itself(postgres_ponies: Database, kind: str, values: list[str]) -> None:
    postgres_ponies.execute(f"ALTER TABLE ponies_oldnote ALTER text TYPE {kind} USING NULL")
    for number, value in enumerate(values, 1):
        postgres_ponies.execute(f"INSERT INTO ponies_oldnote VALUES ({number}, 1, '{value}')")
    rule = DedupeRule(model="ponies.OldNote", fields=("text",))

    counted = count_duplicates(rule, apps=apps, using="default")
    run = merge(rule)

    assert (counted.groups, counted.redundant) == (1, 1)
    assert run.removed == 1
    assert column("ponies_oldnote", "id") == [1, 3]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("integer", ("1", "1", "2")),
        ("numeric", ("1.0", "1.00", "1.01")),
        ("double precision", ("0", "-0", "NaN")),
        ("varchar(9)", ("a", "a", "b")),
        ("char(3)", ("a", "a  ", "b")),
        ("timestamptz", ("2026-01-01 00:00+00", "2026-01-01 02:00+02", "2026-01-02 00:00+00")),
        ("date[]", ("{2026-01-01}", "{2026-01-01}", "{}")),
        ("jsonb", ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', "{}")),
        ("moods", ("glad", "glad", "sad")),
        ("years", ("1", "1", "2")),
        ("int4range", ("[1,3)", "[1,2]", "empty")),
    ],
)
def test_keys_are_hashed_as_their_type_compares_them(postgres_ponies: Database, kind: str, values: list[str]) -> None:
    for made in (
        "TYPE moods AS ENUM ('glad', 'sad')",
        "DOMAIN years AS integer CHECK (value > 0)",
    ):
        postgres_ponies.execute(f"CREATE {made}")
    postgres_ponies.execute(f"ALTER TABLE ponies_oldnote ALTER text TYPE {kind} USING NULL")
    for number, value in enumerate(values, 1):
        postgres_ponies.execute(f"INSERT INTO ponies_oldnote VALUES ({number}, 1, '{value}')")
    rule = DedupeRule(model="ponies.OldNote", fields=("text", "pony"))

    assert count_duplicates(rule, apps=apps, using="default").redundant == 1
    assert merge(rule).removed == 1
    assert column("ponies_oldnote", "id") == [1, 3]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fields": ("body",)}, "could not identify an (equality|ordering) operator for type json"),
        ({"fields": ("origin",)}, "could not identify an (equality|ordering) operator for type point"),
        ({"fields": ("title",), "keep": (Latest("origin"),)}, "could not identify an ordering operator for type point"),
        ({"fields": ("title",), "merge": {"body": "first-not-null"}}, "operator does not exist: json = json"),
        ({"fields": ("title",), "merge": {"body": "max"}}, r"function max\(json\) does not exist"),
    ],
)
def test_a_type_that_cannot_be_compared_is_named(
    postgres_ponies: Database, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidRule, match=words):
        make_plan(DedupeRule(model="ponies.Scroll", **options), apps=apps, using="default")


def test_counting_a_key_that_cannot_be_compared_says_so(postgres_ponies: Database) -> None:
    with pytest.raises(InvalidRule, match="operator for type json"):
        count_duplicates(DedupeRule(model="ponies.Scroll", fields=("body",)), apps=apps, using="default")


@pytest.mark.parametrize("field", ["code", "gone", "sire"])
def test_only_numbers_have_a_sum(ponies: Database, field: str) -> None:
    twins(code="2")
    rule = DedupeRule(model="ponies.Pony", fields=("name",), merge={field: "sum"})
    before = rows_of("ponies_pony")

    with pytest.raises(InvalidRule, match=f"'{field}' cannot be filled with 'sum'"):
        merge(rule)

    assert rows_of("ponies_pony") == before


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("code", "ponies_stall.pony_id references it"),
        ("sire", "it references ponies_pony itself"),
        ("friend", "it references ponies_pony itself"),
        ("name", "it is part of the key"),
    ],
)
def test_what_tells_rows_apart_is_not_merged(ponies: Database, field: str, reason: str) -> None:
    with pytest.raises(InvalidRule, match=f"{field}' cannot be filled with 'first-not-null': {reason}"):
        make_plan(
            DedupeRule(model="ponies.Pony", fields=("name",), merge={field: "first-not-null"}),
            apps=apps,
            using="default",
        )


def test_numbers_are_merged(ponies: Database) -> None:
    twins()
    Pony.all_objects.update(foaled=3)

    merge(DedupeRule(model="ponies.Pony", fields=("name",), merge={"foaled": "sum"}))

    assert column(Pony, "foaled") == [6]
