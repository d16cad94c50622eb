"""One row for each key, whoever writes how often; on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import DatabaseError, connection, models, transaction
from django.db.models import F, Q
from django.db.models.functions import Lower, Now, Upper

from integrity.models import PatternQualityMetric
from integrity.writes import (
    CheckFailed,
    DuplicateKey,
    InvalidUpsert,
    MissingConstraint,
    MissingReference,
    RowRejected,
    RowsLost,
    UnsafeIdStorage,
    UpsertResult,
    aupsert,
    upsert,
    upsert_chunks,
)
from tests.databases import Database
from tests.writes.books import a_model_of_books

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
BY_ISBN_IF_FIRST = models.UniqueConstraint(fields=["isbn"], condition=Q(edition=1), name="one_isbn")
HOUR = timedelta(hours=1)
BY_ISBN = models.UniqueConstraint(fields=["isbn"], name="one_isbn")
MANY = 600
"""More values than travel in one statement on PostgreSQL."""


def counts(result: UpsertResult) -> dict[str, int]:
    return {name: count for name, count in result.counts.items() if count}


def titles(model: Any) -> dict[str, str]:
    return dict(model.objects.values_list("isbn", "title"))


def test_rows_are_inserted_then_unchanged_then_updated(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    rows = [{"isbn": "a", "title": "A"}, {"isbn": "b", "title": "B"}]

    first = upsert(model=book, rows=rows, constraint="one_isbn")
    again = upsert(model=book, rows=rows, constraint="one_isbn")
    third = upsert(model=book, rows=[rows[0], {"isbn": "b", "title": "!"}], unique_fields=["isbn"])

    assert (counts(first), counts(again)) == ({"inserted": 2}, {"unchanged": 2})
    assert counts(third) == {"unchanged": 1, "updated": 1}
    assert set(again.unchanged) == set(first.inserted) == set(book.objects.values_list("pk", flat=True))
    assert book.objects.get(pk=third.updated[0]).isbn == "b"
    assert titles(book) == {"a": "A", "b": "!"}


@pytest.mark.parametrize("many", [3, MANY])
def test_the_last_row_of_a_key_in_a_batch_wins_and_the_others_are_folded(database: Database, many: int) -> None:
    book = a_model_of_books(BY_ISBN)
    rows = [{"isbn": str(n), "title": "first"} for n in range(many)]

    result = upsert(model=book, rows=[*rows, *({**row, "title": "last"} for row in rows[:2])], constraint="one_isbn")

    assert counts(result) == {"inserted": many, "folded": 2}
    assert set(result.folded) == set(book.objects.filter(title="last").values_list("pk", flat=True))


@pytest.mark.parametrize("many", [1, MANY])
def test_where_none_says_nothing_the_existing_value_stays_and_makes_no_change(database: Database, many: int) -> None:
    book = a_model_of_books(BY_ISBN)

    def write(title: str, seen: datetime | None) -> dict[str, int]:
        rows = [{"isbn": str(n), "title": title, "seen": seen} for n in range(many)]
        return counts(upsert(model=book, rows=rows, constraint="one_isbn", coalesce=["seen"]))

    assert write("A", NOON) == {"inserted": many}
    assert write("A", None) == {"unchanged": many}
    assert write("B", None) == {"updated": many}
    assert set(book.objects.values_list("title", "seen")) == {("B", NOON)}
    assert write("B", NOON + HOUR) == {"updated": many}
    assert set(book.objects.values_list("seen", flat=True)) == {NOON + HOUR}


@pytest.mark.parametrize("many", [1, MANY])
def test_an_older_row_never_overwrites_a_newer_one(database: Database, many: int) -> None:
    book = a_model_of_books(BY_ISBN)

    def write(title: str, seen: datetime | None) -> dict[str, int]:
        rows = [{"isbn": str(n), "title": title, "seen": seen} for n in range(many)]
        return counts(upsert(model=book, rows=rows, constraint="one_isbn", newer_wins="seen"))

    assert write("unknown", None) == {"inserted": many}
    assert write("noon", NOON) == {"updated": many}
    assert write("older", NOON - HOUR) == {"stale": many}
    assert write("as old", NOON) == {"unchanged": many}
    assert write("unknown", None) == {"stale": many}
    assert set(titles(book).values()) == {"noon"}
    assert write("newer", NOON + HOUR) == {"updated": many}
    assert set(titles(book).values()) == {"newer"}


def test_within_a_batch_the_newest_wins_and_the_first_of_equals(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    rows = [("old", NOON - HOUR), ("new", NOON), ("as new", NOON), ("unknown", None)]

    result = upsert(
        model=book,
        rows=[{"isbn": "a", "title": title, "seen": seen} for title, seen in rows],
        constraint="one_isbn",
        newer_wins="seen",
    )

    assert counts(result) == {"inserted": 1, "folded": 3}
    assert titles(book) == {"a": "new"}


def test_a_field_that_the_database_computes_is_not_offered_to_write(database: Database) -> None:
    capitals = models.GeneratedField(expression=Upper("title"), output_field=models.TextField(), db_persist=True)
    book = a_model_of_books(BY_ISBN, capitals=capitals)

    with pytest.raises(InvalidUpsert, match=r"no field 'capitals' that can be written\. Choose from: (?!.*capitals)"):
        upsert(model=book, rows=[{"isbn": "a", "capitals": "A"}], constraint="one_isbn")


def test_chunks_are_written_one_after_the_other(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    rows = ({"isbn": str(n % 5), "title": str(n)} for n in range(12))

    results = list(upsert_chunks(model=book, rows=rows, constraint="one_isbn", chunk_size=5))

    assert [counts(result) for result in results] == [{"inserted": 5}, {"updated": 5}, {"updated": 2}]
    assert titles(book) == {"0": "10", "1": "11", "2": "7", "3": "8", "4": "9"}


def test_nothing_given_is_nothing_done(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)

    assert upsert(model=book, rows=[], constraint="one_isbn").total == 0


def test_automatic_dates_are_maintained_and_change_nothing_by_themselves(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    upsert(model=book, rows=[{"isbn": "a", "title": "A"}], constraint="one_isbn")
    before = book.objects.get()

    same = upsert(model=book, rows=[{"isbn": "a", "title": "A"}], constraint="one_isbn")
    untouched = book.objects.get()
    upsert(model=book, rows=[{"isbn": "a", "title": "B"}], constraint="one_isbn")
    after = book.objects.get()

    assert counts(same) == {"unchanged": 1}
    assert (untouched.made, untouched.changed) == (before.made, before.changed)
    assert after.made == before.made
    assert after.changed > before.changed


@pytest.mark.parametrize("many", [1, MANY])
def test_an_automatic_date_that_the_rows_bring_is_their_own_and_can_be_the_clock(database: Database, many: int) -> None:
    book = a_model_of_books(BY_ISBN)

    def write(title: str, changed: datetime) -> dict[str, int]:
        rows = [{"isbn": str(n), "title": title, "changed": changed} for n in range(many)]
        return counts(upsert(model=book, rows=rows, constraint="one_isbn", newer_wins="changed"))

    assert write("noon", NOON) == {"inserted": many}
    assert write("older", NOON - HOUR) == {"stale": many}
    assert set(book.objects.values_list("title", "changed")) == {("noon", NOON)}
    assert write("newer", NOON + HOUR) == {"updated": many}
    assert set(book.objects.values_list("title", "changed")) == {("newer", NOON + HOUR)}


def test_only_the_named_fields_of_an_existing_row_are_written(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    row = {"isbn": "a", "title": "A", "edition": 1}
    upsert(model=book, rows=[row], constraint="one_isbn")

    kept = upsert(model=book, rows=[{**row, "title": "B"}], constraint="one_isbn", update=[])
    changed = upsert(model=book, rows=[{**row, "title": "B", "edition": 2}], constraint="one_isbn", update=["edition"])

    assert (counts(kept), counts(changed)) == ({"unchanged": 1}, {"updated": 1})
    assert book.objects.values_list("title", "edition").get() == ("A", 2)


def test_rows_that_are_left_as_they_are_can_be_referenced_meanwhile(postgres_database: Database) -> None:
    book = a_model_of_books(BY_ISBN, changed=models.DateTimeField(null=True))
    book.objects.create(isbn="a")

    with transaction.atomic():
        upsert(model=book, rows=[{"isbn": "a", "title": "A"}], constraint="one_isbn", update=[])
        assert postgres_database.execute("SELECT isbn FROM book FOR KEY SHARE NOWAIT") == [("a",)]


def test_rows_with_an_id_are_left_as_they_are_where_ids_are_always_generated(postgres_database: Database) -> None:
    book = a_model_of_books(BY_ISBN, changed=models.DateTimeField(null=True))
    postgres_database.execute("ALTER TABLE book ALTER id SET GENERATED ALWAYS")
    row = {"id": 7, "isbn": "a"}

    results = [upsert(model=book, rows=[row], constraint="one_isbn", update=[]) for _ in range(2)]

    assert [counts(result) for result in results] == [{"inserted": 1}, {"unchanged": 1}]
    assert book.objects.get().pk == 7


def test_fields_that_no_row_brings_keep_their_value_or_get_their_default(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    book.objects.create(isbn="a", title="A", edition=1)

    upsert(model=book, rows=[{"isbn": "a", "edition": 2}, {"isbn": "b", "edition": 2}], constraint="one_isbn")

    assert titles(book) == {"a": "A", "b": "untitled"}


def test_a_condition_on_the_existing_row_protects_it(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    book.objects.create(isbn="done", title="100%'s", edition=1)
    book.objects.create(isbn="open", edition=None)

    result = upsert(
        model=book,
        rows=[{"isbn": "done", "edition": 2}, {"isbn": "open", "edition": 2}],
        constraint="one_isbn",
        overwrite=Q(edition__isnull=True) & ~Q(title="100%'s"),
    )

    assert counts(result) == {"updated": 1, "unchanged": 1}
    assert dict(book.objects.values_list("isbn", "edition")) == {"done": 1, "open": 2}


def test_touched_values_are_written_with_a_change_and_are_none(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)

    def write(title: str, edition: int) -> dict[str, int]:
        row = {"isbn": "a", "title": title}
        return counts(upsert(model=book, rows=[row], constraint="one_isbn", touch={"edition": edition}))

    assert write("A", 1) == {"inserted": 1}
    assert write("A", 2) == {"unchanged": 1}
    assert book.objects.get().edition == 1
    assert write("B", 3) == {"updated": 1}
    assert book.objects.get().edition == 3


@pytest.mark.parametrize("many", [1, MANY])
@pytest.mark.parametrize(
    "constraint",
    [
        models.UniqueConstraint(fields=["isbn", "edition"], name="key"),
        models.UniqueConstraint(Lower("isbn"), F("edition").desc(), name="key"),
        models.UniqueConstraint(fields=["isbn"], condition=Q(edition=1), name="key"),
        models.UniqueConstraint(fields=["isbn"], condition=~Q(title__contains="50%'s"), name="key"),
        models.UniqueConstraint(Lower("isbn"), condition=Q(edition__gt=0), name="key"),
    ],
    ids=["two fields", "expressions", "condition", "odd condition", "both"],
)
def test_every_kind_of_unique_constraint_can_be_the_target(
    database: Database, constraint: models.UniqueConstraint, many: int
) -> None:
    book = a_model_of_books(constraint)

    def write(case: str, title: str) -> dict[str, int]:
        rows = [{"isbn": f"{case}{n}", "edition": 1, "title": title} for n in range(many)]
        return counts(upsert(model=book, rows=rows, constraint="key"))

    other_case = "A" if constraint.expressions else "a"
    assert write("a", "x") == {"inserted": many}
    assert write("a", "x") == {"unchanged": many}
    assert write(other_case, "y") == {"updated": many}
    assert book.objects.count() == many


@pytest.mark.parametrize(
    "constraint",
    [
        models.UniqueConstraint(fields=["isbn"], include=["title"], name="key"),
        models.UniqueConstraint(fields=["isbn"], opclasses=["varchar_pattern_ops"], name="key"),
        models.UniqueConstraint(fields=["isbn"], nulls_distinct=False, name="key"),
    ],
    ids=["include", "opclasses", "nulls not distinct"],
)
def test_constraints_that_only_postgresql_has_can_be_the_target(
    postgres_database: Database, constraint: models.UniqueConstraint
) -> None:
    book = a_model_of_books(constraint)
    isbns = ["a", "b"] if constraint.nulls_distinct is None else ["a", None]

    for expected in ({"inserted": 2}, {"unchanged": 2}):
        result = upsert(model=book, rows=[{"isbn": isbn, "title": "A"} for isbn in isbns], constraint="key")
        assert counts(result) == expected
    result = upsert(model=book, rows=[{"isbn": isbn, "title": "B"} for isbn in isbns * 2], constraint="key")

    assert counts(result) == {"updated": 2, "folded": 2}
    assert book.objects.count() == 2


def test_a_proxy_writes_the_rows_of_the_model_behind_it(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    meta = type("Meta", (), {"app_label": "library", "apps": book._meta.apps, "proxy": True})
    novel = type("Novel", (book,), {"__module__": __name__, "Meta": meta})

    first, second = (upsert(model=novel, rows=[{"isbn": "a", "title": t}], constraint="one_isbn") for t in "AB")

    assert (counts(first), counts(second)) == ({"inserted": 1}, {"updated": 1})
    assert titles(book) == {"a": "B"}


def test_a_model_with_a_parents_table_is_refused(sqlite_database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    meta = type("Meta", (), {"app_label": "library", "apps": book._meta.apps})
    novel = type("Novel", (book,), {"__module__": __name__, "Meta": meta})

    with pytest.raises(InvalidUpsert, match="two tables"):
        upsert(model=novel, rows=[{"isbn": "a"}], unique_fields=["id"])


def test_a_deferrable_constraint_is_refused(database: Database) -> None:
    constraint = models.UniqueConstraint(fields=["isbn"], name="late", deferrable=models.Deferrable.DEFERRED)
    book = a_model_of_books()
    book._meta.constraints = [constraint]

    with pytest.raises(InvalidUpsert, match="deferrable"):
        upsert(model=book, rows=[{"isbn": "a"}], constraint="late")


@pytest.mark.parametrize(
    ("constraint", "row"),
    [
        (BY_ISBN, {"isbn": None, "edition": 1}),
        (BY_ISBN_IF_FIRST, {"isbn": "a", "edition": 2}),
        (BY_ISBN_IF_FIRST, {"isbn": "a", "edition": None}),
    ],
    ids=["no key", "outside the condition", "condition unknown"],
)
def test_a_row_outside_the_constraint_is_refused_since_it_would_be_written_each_time(
    database: Database, constraint: models.UniqueConstraint, row: dict[str, Any]
) -> None:
    book = a_model_of_books(constraint)

    with pytest.raises(RowRejected, match=r"row 1 \(isbn=.*\): one_isbn says nothing"):
        upsert(model=book, rows=[{"isbn": "ok", "edition": 1}, row], constraint="one_isbn")

    assert not book.objects.exists()


@pytest.mark.parametrize("many", [1, MANY])
def test_a_field_of_the_condition_that_no_row_brings_is_null_as_in_the_table(database: Database, many: int) -> None:
    constraint = models.UniqueConstraint(fields=["isbn"], condition=Q(seen__isnull=True), name="one_unseen")
    book = a_model_of_books(constraint)
    gone = book.objects.create(isbn="0", title="gone", seen=NOON)

    def write(title: str) -> dict[str, int]:
        rows = [{"isbn": str(n), "title": title} for n in range(many)]
        return counts(upsert(model=book, rows=rows, constraint="one_unseen"))

    assert write("A") == {"inserted": many}
    assert write("A") == {"unchanged": many}
    assert write("B") == {"updated": many}
    assert book.objects.get(title="gone") == gone


@pytest.mark.parametrize(
    ("constraint", "missing"),
    [
        (models.UniqueConstraint(fields=["isbn", "lower"], name="key"), "lower"),
        (models.UniqueConstraint(Lower("region"), F("isbn").desc(), name="key"), "region"),
        (models.UniqueConstraint(fields=["isbn"], condition=Q(region="eu"), name="key"), "region"),
    ],
    ids=["generated", "database default", "in the condition"],
)
def test_a_field_of_the_constraint_that_only_the_database_knows_must_be_brought(
    database: Database, constraint: models.UniqueConstraint, missing: str
) -> None:
    book = a_model_of_books(
        constraint,
        region=models.CharField(max_length=20, db_default="eu"),
        lower=models.GeneratedField(
            expression=Lower("title"), output_field=models.CharField(max_length=40), db_persist=True
        ),
    )

    with pytest.raises(InvalidUpsert, match=f"key tells rows apart by {missing}, which the rows do not bring"):
        upsert(model=book, rows=[{"isbn": "a"}], constraint="key")


def test_a_bad_row_ends_its_chunk_and_is_named(database: Database) -> None:
    book = a_model_of_books(BY_ISBN, models.CheckConstraint(condition=Q(edition__lt=10), name="few_editions"))

    with pytest.raises(CheckFailed) as caught:
        upsert(model=book, rows=[{"isbn": "a", "edition": 1}, {"isbn": "b", "edition": 10}], constraint="one_isbn")

    assert caught.value.constraint == "few_editions"
    assert not book.objects.exists()


def test_a_duplicate_of_another_key_names_the_constraint_to_write_by(database: Database) -> None:
    book = a_model_of_books(BY_ISBN, models.UniqueConstraint(fields=["title"], name="one_title"))
    book.objects.create(isbn="a", title="A")

    with pytest.raises(DuplicateKey, match="upsert does, with this constraint for its target"):
        upsert(model=book, rows=[{"isbn": "b", "title": "A"}], constraint="one_isbn")


@pytest.mark.parametrize("many", [5, MANY])
@pytest.mark.parametrize("nested", [False, True])
def test_one_bad_row_does_not_lose_a_batch(database: Database, many: int, nested: bool) -> None:
    check = models.CheckConstraint(condition=Q(edition__lt=10), name="few_editions")
    book = a_model_of_books(BY_ISBN, check, rank=models.IntegerField(default=0, unique=True))
    rows: list[dict[str, Any]] = [{"isbn": str(n), "edition": 1, "rank": n, "shelf_id": None} for n in range(many)]
    rows[1]["edition"] = 10
    rows[2]["rank"] = 0
    rows[3]["shelf_id"] = 7
    rows[4]["edition"] = "many"

    if nested:
        with transaction.atomic():
            result = upsert(model=book, rows=rows, constraint="one_isbn", on_error="isolate")
    else:
        result = upsert(model=book, rows=rows, constraint="one_isbn", on_error="isolate")

    assert counts(result) == {"inserted": many - 4, "failed": 4}
    failed = {one.position: one for one in result.failed}
    assert [type(failed[n].error) for n in sorted(failed)] == [CheckFailed, DuplicateKey, MissingReference, RowRejected]
    assert all(failed[n].row is rows[n] for n in failed)
    assert book.objects.count() == many - 4


def test_a_missing_reference_is_typed_with_field_and_value(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)

    with pytest.raises(MissingReference) as caught:
        upsert(model=book, rows=[{"isbn": "a", "shelf": 7}], constraint="one_isbn")

    if database.vendor == "sqlite":  # PostgreSQL's error names a table of no installed model
        assert (caught.value.fields, caught.value.values) == (("shelf",), {"shelf": 7})


def test_a_parent_may_come_later_in_the_callers_transaction(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    shelf = book._meta.get_field("shelf").related_model

    with transaction.atomic():
        upsert(model=book, rows=[{"isbn": "a", "shelf": 7}], constraint="one_isbn")
        shelf.objects.create(pk=7, name="late")

    assert book.objects.get().shelf_id == 7


def test_a_foreign_key_takes_an_object_or_its_key(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    shelf = book._meta.get_field("shelf").related_model.objects.create(name="s")

    first = upsert(model=book, rows=[{"isbn": "a", "shelf": shelf}], constraint="one_isbn")
    second = upsert(model=book, rows=[{"isbn": "a", "shelf_id": shelf.pk}], constraint="one_isbn")

    assert (counts(first), counts(second)) == ({"inserted": 1}, {"unchanged": 1})


def test_an_object_that_is_not_saved_or_of_another_model_is_no_reference(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    shelf = book._meta.get_field("shelf").related_model
    rows = [{"isbn": "a", "shelf": shelf(name="new")}, {"isbn": "b", "shelf": book(pk=1)}]

    result = upsert(model=book, rows=rows, constraint="one_isbn", on_error="isolate")

    assert not book.objects.exists()
    assert "is given a library.Shelf that is not saved yet" in str(result.failed[0].error)
    assert "points at library.Shelf, and is given a library.Book" in str(result.failed[1].error)


def test_a_document_that_is_no_json_is_left_out(database: Database) -> None:
    book = a_model_of_books(BY_ISBN, extra=models.JSONField(null=True))
    rows = [{"isbn": "a", "extra": {"tags": {1, 2}}}, {"isbn": "b", "extra": {}}]

    result = upsert(model=book, rows=rows, constraint="one_isbn", on_error="isolate")

    assert counts(result) == {"inserted": 1, "failed": 1}
    assert "set is not JSON serializable" in str(result.failed[0].error)


def test_an_expression_is_no_value(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)

    with pytest.raises(RowRejected, match="seen is an expression"):
        upsert(model=book, rows=[{"isbn": "a", "seen": Now()}], constraint="one_isbn")
    with pytest.raises(InvalidUpsert, match="`touch` gives seen an expression"):
        upsert(model=book, rows=[{"isbn": "a"}], constraint="one_isbn", touch={"seen": Now()})


@pytest.mark.parametrize("rows", [None, 7, {"isbn": "a"}, [None, {"isbn": "a"}], ["isbn"], [("isbn", "a")]])
def test_what_is_no_mapping_is_refused(sqlite_database: Database, rows: Any) -> None:
    book = a_model_of_books(BY_ISBN)

    with pytest.raises(InvalidUpsert, match=r"is an? \w+\. Give mappings"):
        upsert(model=book, rows=rows, constraint="one_isbn")


def test_a_later_row_that_is_no_mapping_is_left_out(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    rows: Any = [{"isbn": "a"}, None, book(isbn="b"), {"isbn": "c"}]

    result = upsert(model=book, rows=rows, constraint="one_isbn", on_error="isolate")

    assert counts(result) == {"inserted": 2, "failed": 2}
    assert "row 2: it is a Book. Give mappings" in str(result.failed[1].error)


def test_rows_may_come_from_a_query_on_the_same_connection(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    upsert(model=book, rows=[{"isbn": str(n), "title": "old"} for n in range(MANY)], constraint="one_isbn")
    found = book.objects.order_by("pk").values("isbn").iterator(chunk_size=10)

    result = upsert(model=book, rows=({**row, "title": "new"} for row in found), constraint="one_isbn", chunk_size=250)

    assert counts(result) == {"updated": MANY}
    assert set(titles(book).values()) == {"new"}


def test_a_column_that_the_table_lacks_is_named(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    with connection.schema_editor() as editor:
        editor.remove_field(book, book._meta.get_field("edition"))

    with pytest.raises(DatabaseError, match="edition"):
        upsert(model=book, rows=[{"isbn": "a", "edition": 1}], constraint="one_isbn")


def test_a_rolled_back_transaction_of_the_caller_leaves_nothing(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)

    with transaction.atomic():
        upsert(model=book, rows=[{"isbn": str(n)} for n in range(MANY)], constraint="one_isbn", chunk_size=250)
        transaction.set_rollback(True)

    assert not book.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "either"),
        ({"constraint": "one_isbn", "unique_fields": ["isbn"]}, "either"),
        ({"constraint": "nonsense"}, "it has: one_isbn"),
        ({"unique_fields": ["title"]}, "no plain unique constraint over title"),
        ({"unique_fields": ["id"]}, "id tells rows apart by id, which the rows do not bring"),
        ({"constraint": "one_isbn", "update": ["edition"]}, "bring no 'edition'"),
        ({"constraint": "one_isbn", "newer_wins": "seen"}, "bring no 'seen'"),
        ({"constraint": "one_isbn", "coalesce": ["seen"]}, "bring no 'seen'"),
        ({"constraint": "one_isbn", "update": ["changed"]}, "bring no 'changed'"),
        ({"constraint": "one_isbn", "newer_wins": "changed"}, "bring no 'changed'"),
        ({"constraint": "one_isbn", "touch": {"edition": 7}, "update": ["edition"]}, "bring no 'edition'"),
        ({"constraint": "one_isbn", "touch": {"isbn": "b"}}, "bring isbn, and so does `touch`"),
        ({"constraint": "one_isbn", "touch": {"nonsense": 1}}, "no field 'nonsense'"),
        ({"constraint": "one_isbn", "chunk_size": 0}, "chunk_size from 1"),
        ({"constraint": "one_isbn", "chunk_size": -1}, "chunk_size from 1"),
        ({"constraint": "one_isbn", "on_error": "ignore"}, "no on_error='ignore'. Choose from: raise, isolate"),
    ],
)
def test_arguments_that_do_not_fit_the_model_are_refused(
    sqlite_database: Database, arguments: dict[str, Any], says: str
) -> None:
    book = a_model_of_books(BY_ISBN)

    with pytest.raises(InvalidUpsert, match=says):
        upsert(model=book, rows=[{"isbn": "a"}], **arguments)


@pytest.mark.parametrize("row", [{"isbn": "b", "edition": 1}, {}, {"title": "x"}])
def test_rows_must_bring_the_same_fields(database: Database, row: dict[str, Any]) -> None:
    book = a_model_of_books(BY_ISBN)

    with pytest.raises(RowRejected, match=r"row 1( \(isbn=b\))?: it brings"):
        upsert(model=book, rows=[{"isbn": "a"}, row], constraint="one_isbn")


def test_a_field_given_twice_is_refused(sqlite_database: Database) -> None:
    book = a_model_of_books(BY_ISBN)

    with pytest.raises(InvalidUpsert, match="twice"):
        upsert(model=book, rows=[{"isbn": "a", "shelf": 1, "shelf_id": 1}], constraint="one_isbn")


def test_a_database_without_the_constraint_is_refused(database: Database) -> None:
    book = a_model_of_books()
    book._meta.constraints = [BY_ISBN]

    with pytest.raises(MissingConstraint, match="migrate"):
        upsert(model=book, rows=[{"isbn": "a"}], constraint="one_isbn")


def test_a_table_that_would_corrupt_ids_is_refused(sqlite_database: Database) -> None:
    sqlite_database.execute("DROP TABLE pattern_quality_metrics")
    sqlite_database.execute("CREATE TABLE pattern_quality_metrics (id UUID PRIMARY KEY, pattern_id CHAR(32))")

    with pytest.raises(UnsafeIdStorage, match=r"pattern_quality_metrics\.id \(UUID\).*RepairIdStorage"):
        upsert(model=PatternQualityMetric, rows=[{"pattern_id": "x"}], unique_fields=["id"])


def test_rows_that_a_trigger_swallows_are_an_error(postgres_database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    postgres_database.execute("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    postgres_database.execute("CREATE TRIGGER quiet BEFORE INSERT ON book FOR EACH ROW EXECUTE FUNCTION nothing()")

    with pytest.raises(RowsLost, match="trigger"):
        upsert(model=book, rows=[{"isbn": "a"}], constraint="one_isbn")


def test_columns_without_equality_are_compared_too(postgres_database: Database) -> None:
    price = models.DecimalField(max_digits=9, decimal_places=2)
    book = a_model_of_books(BY_ISBN, note=models.JSONField(null=True), price=price)
    postgres_database.execute("ALTER TABLE book ALTER note TYPE json")
    row = {"isbn": "a", "note": {"k": [1, None]}, "price": Decimal("1.50")}

    results = [
        upsert(model=book, rows=[given], constraint="one_isbn") for given in (row, row, {**row, "note": {"k": []}})
    ]

    assert [counts(result) for result in results] == [{"inserted": 1}, {"unchanged": 1}, {"updated": 1}]


def test_a_role_that_may_not_make_temporary_tables_writes_all_the_same(postgres_database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    name = connection.settings_dict["NAME"]
    postgres_database.execute(f'REVOKE TEMP ON DATABASE "{name}" FROM PUBLIC')
    postgres_database.execute("CREATE ROLE clerk")
    postgres_database.execute("GRANT SELECT, INSERT, UPDATE ON book TO clerk")
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET ROLE clerk")
        result = upsert(model=book, rows=[{"isbn": str(n)} for n in range(MANY)], constraint="one_isbn")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")
        postgres_database.execute("DROP OWNED BY clerk; DROP ROLE clerk")

    assert counts(result) == {"inserted": MANY}


def test_a_partitioned_table_can_be_the_target(postgres_database: Database) -> None:
    book = a_model_of_books(BY_ISBN)
    postgres_database.execute("ALTER TABLE book RENAME TO old_book")
    postgres_database.execute(
        "CREATE TABLE book (LIKE old_book INCLUDING DEFAULTS INCLUDING IDENTITY) PARTITION BY HASH (isbn)"
    )
    postgres_database.execute("CREATE TABLE book_0 PARTITION OF book FOR VALUES WITH (MODULUS 1, REMAINDER 0)")
    postgres_database.execute("CREATE UNIQUE INDEX of_parts ON book (isbn)")

    results = [upsert(model=book, rows=[{"isbn": "a", "title": t}], constraint="one_isbn") for t in ("x", "x", "y")]

    assert [counts(result) for result in results] == [{"inserted": 1}, {"unchanged": 1}, {"updated": 1}]


class Tagged(models.CharField):  # type: ignore[type-arg]  # it has none when the test runs
    """A text that reads otherwise in Python than in the database."""

    def from_db_value(self, value: str, *_: Any) -> str:
        return f"tag:{value}"

    def get_prep_value(self, value: Any) -> Any:
        return value.removeprefix("tag:")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (models.DurationField(primary_key=True), HOUR),
        (models.DateTimeField(primary_key=True), NOON),
        (models.DecimalField(primary_key=True, max_digits=9, decimal_places=2), Decimal("1.50")),
        (Tagged(primary_key=True, max_length=20), "tag:a"),
    ],
    ids=["duration", "moment", "decimal", "custom"],
)
def test_primary_keys_of_a_result_are_as_a_queryset_gives_them(database: Database, key: Any, value: Any) -> None:
    book = a_model_of_books(key=key)

    first, second = (
        upsert(model=book, rows=[{"key": value, "edition": edition}], unique_fields=["key"]) for edition in (1, 2)
    )

    assert (first.inserted, second.updated) == ((value,), (value,))
    assert book.objects.get().pk == value


def test_composite_primary_keys_of_a_result_are_as_a_queryset_gives_them(database: Database) -> None:
    book = a_model_of_books(
        pk=models.CompositePrimaryKey("sensor", "at"), sensor=models.IntegerField(), at=models.DateTimeField()
    )

    first, second = (
        upsert(model=book, rows=[{"sensor": 1, "at": NOON, "edition": edition}], unique_fields=["sensor", "at"])
        for edition in (1, 2)
    )

    assert (first.inserted, second.updated) == (((1, NOON),), ((1, NOON),))


def test_asynchronous_code_has_the_same(database: Database) -> None:
    book = a_model_of_books(BY_ISBN)

    result = async_to_sync(aupsert)(model=book, rows=[{"isbn": "a"}], constraint="one_isbn")

    assert counts(result) == {"inserted": 1}
