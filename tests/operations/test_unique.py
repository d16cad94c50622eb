"""Adding and removing a unique constraint on a table that is in use: what is accepted, refused, left behind."""

from __future__ import annotations

import re
from contextlib import closing
from typing import Any

import pytest
from django.apps import apps
from django.core.management.base import CommandError
from django.db import connection
from django.db.models import Deferrable, Q, UniqueConstraint

from integrity.backends import get_catalogue
from integrity.backends.postgresql import builds
from integrity.backends.postgresql.blockers import lock_holders
from integrity.dedupe import DedupeRule, InvalidRule, Latest, list_plans
from integrity.models import DedupeRun
from integrity.operations import AddUniqueConstraintOnline, OperationRefused, RemoveUniqueConstraintOnline
from tests.databases import Database
from tests.operations.books import KEEP_OLDEST, KEY, Change, ids, insert, make_table, some_books

TIMEOUTS = ("lock_timeout", "statement_timeout", "client_connection_check_interval")


def add(**kwargs: Any) -> Change:
    return Change(AddUniqueConstraintOnline("book", **{"constraint": KEY, "rule": KEEP_OLDEST, **kwargs}))


def names() -> list[str]:
    return sorted(index.name for index in get_catalogue(using="default").indexes("book") if not index.primary)


def assert_nothing_left_behind() -> None:
    """No guard, no broken index, no changed timeout, whatever happened."""
    assert [table for table in get_catalogue(using="default").tables() if "guard" in table] == []
    assert [index.name for index in get_catalogue(using="default").indexes("book") if not index.valid] == []
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT name FROM pg_settings WHERE source = 'session' AND name = ANY(%s)", [list(TIMEOUTS)])
            changed = {name for (name,) in cursor.fetchall()}
            cursor.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in TIMEOUTS))
            assert cursor.fetchone() == ("0", "0", "0"), changed
            cursor.execute("SELECT proname FROM pg_proc WHERE proname LIKE 'integrity%%' AND prokind = 'f'", ())
            assert cursor.fetchall() == []


def assert_unique() -> None:
    """The database itself refuses a second row with a key that is there."""
    with pytest.raises(Exception, match=r"one_per_shelf|book\.isbn, book\.shelf"):
        insert((90_000, "isbn 1", 1, "", 1))


def test_its_description_tells_that_rows_are_removed() -> None:
    assert "redundant rows of (isbn, shelf) go to quarantine" in add().operation.describe()
    assert "quarantine" not in add(on_duplicates="refuse").operation.describe()


def test_a_rule_that_names_no_field_of_the_model_is_refused(database: Database) -> None:
    make_table()
    some_books(3, duplicates=1)

    with pytest.raises(OperationRefused, match=r"Cannot resolve keyword 'nope'"):
        add(rule=DedupeRule(model="library.Book", fields=("isbn", "shelf"), keep=(Latest("nope"),))).forwards()

    assert names() == []
    assert_nothing_left_behind()


def test_duplicates_go_to_quarantine_and_the_constraint_comes(database: Database) -> None:
    make_table()
    some_books(50, duplicates=10)

    add().forwards()

    assert ids() == list(range(50))
    assert names() == ["one_per_shelf"]
    assert DedupeRun.objects.get().counts["removed"] == 10
    assert_unique()
    assert_nothing_left_behind()


def test_an_empty_table_is_constrained(database: Database) -> None:
    make_table()

    add().forwards()

    assert names() == ["one_per_shelf"]
    assert not list_plans(apps=apps, using="default")
    assert not [table for table in get_catalogue(using="default").tables() if table.startswith("integrity_plan_")]
    assert_nothing_left_behind()


def test_nothing_changes_the_second_time(database: Database) -> None:
    make_table()
    some_books(5)
    add().forwards()

    add().forwards()

    assert names() == ["one_per_shelf"]
    assert DedupeRun.objects.count() == 0


def test_the_constraint_goes_and_comes_again(database: Database) -> None:
    make_table()
    some_books(5)
    change = add()

    change.forwards()
    change.backwards()
    assert names() == []
    change.forwards()

    assert names() == ["one_per_shelf"]


def test_a_table_that_is_absent_is_left_alone(database: Database) -> None:
    add().forwards()
    add().backwards()

    assert "book" not in get_catalogue(using="default").tables()


def test_without_a_rule_duplicates_are_an_error_and_nothing_changes(database: Database) -> None:
    make_table()
    some_books(20, duplicates=3)

    with pytest.raises(OperationRefused, match=r"library.Book has 3 duplicate groups \(3 redundant rows\)") as refused:
        add(rule=None).forwards()

    assert len(re.findall(r"\([^)]+\) in 2 rows", str(refused.value))) == 3
    assert "manage.py dedupe with a rule, or with library.Book" in str(refused.value)

    assert (len(ids()), names()) == (23, [])
    assert_nothing_left_behind()


def test_a_rule_may_be_kept_from_removing(database: Database) -> None:
    make_table()
    some_books(20, duplicates=3)

    with pytest.raises(CommandError, match="3 duplicate groups"):
        add(on_duplicates="refuse").forwards()

    assert len(ids()) == 23


@pytest.mark.parametrize("nulls_distinct", [None, False])
def test_rows_with_null_in_their_key_count_as_the_constraint_has_them(
    postgres_database: Database, nulls_distinct: bool | None
) -> None:
    make_table()
    insert((1, None, 1, "", 1), (2, None, 1, "", 2))
    constraint = UniqueConstraint(fields=["isbn", "shelf"], name="one_per_shelf", nulls_distinct=nulls_distinct)

    add(constraint=constraint).forwards()

    assert ids() == ([1] if nulls_distinct is False else [1, 2])


def test_rows_outside_the_condition_stay(database: Database) -> None:
    make_table()
    insert((1, "a", 1, "", 1), (2, "a", 1, "", 2), (3, "a", 9, "", 3), (4, "a", 9, "", 4))
    constraint = UniqueConstraint(fields=["isbn", "shelf"], condition=Q(shelf__lt=5), name="one_per_shelf")

    add(constraint=constraint).forwards()

    assert ids() == [1, 3, 4]


def test_an_index_of_that_name_that_is_another_one_is_refused_before_anything_changes(database: Database) -> None:
    make_table()
    some_books(20, duplicates=3)
    database.execute("CREATE UNIQUE INDEX one_per_shelf ON book (id, isbn)")

    with pytest.raises(OperationRefused, match="Drop or rename it"):
        add().forwards()

    assert len(ids()) == 23
    assert_nothing_left_behind()


@pytest.mark.parametrize("literal", ["'A'", "'a '", "' a'"])
def test_an_index_whose_condition_differs_in_a_literal_is_another_one(database: Database, literal: str) -> None:
    make_table()
    constraint = UniqueConstraint(fields=["isbn"], condition=Q(title="a"), name="one_per_shelf")
    database.execute(f"CREATE UNIQUE INDEX one_per_shelf ON book (isbn) WHERE title = {literal}")

    with pytest.raises(OperationRefused, match="Drop or rename it"):
        add(constraint=constraint, rule=None).forwards()


def test_an_index_that_is_only_written_in_another_way_is_accepted(sqlite_database: Database) -> None:
    make_table()
    constraint = UniqueConstraint(fields=["isbn"], condition=Q(title="a B"), name="one_per_shelf")
    sqlite_database.execute("CREATE  UNIQUE INDEX its_own ON BOOK(ISBN) where TITLE='a B'")

    add(constraint=constraint, rule=None).forwards()

    assert names() == ["its_own"]


def test_the_migration_must_not_be_atomic(database: Database) -> None:
    make_table()

    with pytest.raises(OperationRefused, match="atomic = False"):
        add().forwards(atomic=True)


def test_sqlmigrate_prints_the_statements_and_touches_nothing(database: Database) -> None:
    make_table()
    some_books(5, duplicates=1)

    printed = add().sql()

    assert (
        f"-- before that, redundant rows of (isbn, shelf) go to quarantine by the rule '{KEEP_OLDEST.name}'" in printed
    )

    assert 'one_per_shelf" ON "book" ("isbn", "shelf")' in printed
    assert (len(ids()), names()) == (6, [])


def test_sqlmigrate_promises_nothing_where_the_database_has_no_such_constraint(sqlite_database: Database) -> None:
    make_table()

    printed = add(
        constraint=UniqueConstraint(fields=["isbn", "shelf"], name="late", deferrable=Deferrable.DEFERRED)
    ).sql()

    assert "-- nothing: this database has no such constraint" in printed
    assert "-- before that" not in printed


def test_a_rule_with_another_key_is_refused_when_it_is_written() -> None:
    with pytest.raises(InvalidRule, match="not that of"):
        AddUniqueConstraintOnline("book", UniqueConstraint(fields=["isbn"], name="by_isbn"), rule=KEEP_OLDEST)


def test_removing_duplicates_needs_a_rule() -> None:
    with pytest.raises(InvalidRule, match="which row"):
        AddUniqueConstraintOnline("book", KEY, on_duplicates="remove")


def test_removal_is_reversible(database: Database) -> None:
    make_table()
    some_books(5)
    add().forwards()
    removing = Change(AddUniqueConstraintOnline("book", KEY))
    removal = RemoveUniqueConstraintOnline("book", "one_per_shelf")
    removing.before, removing.operation = removing.after, removal
    removing.after = removing.before.clone()
    removal.state_forwards("library", removing.after)

    removing.forwards()
    assert names() == []
    removing.backwards()

    assert names() == ["one_per_shelf"]


def test_the_leftover_of_a_failed_build_is_replaced(postgres_database: Database) -> None:
    make_table()
    some_books(20, duplicates=3)
    with closing(postgres_database.connect()) as own:
        own.autocommit = True
        with pytest.raises(Exception, match="could not create unique index"):
            own.execute("CREATE UNIQUE INDEX CONCURRENTLY one_per_shelf ON book (isbn, shelf)")

    add().forwards()

    assert ids() == list(range(20))
    assert_unique()
    assert_nothing_left_behind()


def test_an_index_that_was_built_but_not_attached_is_attached(postgres_database: Database) -> None:
    make_table()
    some_books(20)
    postgres_database.execute("CREATE UNIQUE INDEX one_per_shelf ON book (isbn, shelf)")

    add().forwards()

    (index,) = [index for index in get_catalogue(using="default").indexes("book") if not index.primary]
    assert (index.name, index.constraint) == ("one_per_shelf", True)


def test_a_lock_that_is_held_is_named_and_nothing_is_left(
    postgres_database: Database, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_table()
    some_books(20, duplicates=3)
    settings.INTEGRITY_LOCK_TIMEOUT = 0.05
    monkeypatch.setattr("integrity.backends.postgresql.session._TRIES", 2)

    with closing(postgres_database.connect()) as own:
        own.execute("INSERT INTO book (id) VALUES (70000)")
        with pytest.raises(OperationRefused, match=rf"pid {own.info.backend_pid} .*INSERT INTO book"):
            add().forwards()

    assert len(ids()) == 23
    assert_nothing_left_behind()


def test_what_cannot_be_cleared_away_is_told_with_the_statements_that_do(
    postgres_database: Database, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_table()
    settings.INTEGRITY_LOCK_TIMEOUT = 0.05
    monkeypatch.setattr("integrity.backends.postgresql.session._TRIES", 2)
    said: list[str] = []
    monkeypatch.setattr("integrity.operations.scope.say", lambda line, **_: said.append(line))

    with closing(postgres_database.connect()) as own:

        def build(*_: Any, **__: Any) -> None:
            own.execute("INSERT INTO book (id) VALUES (70000)")
            raise KeyboardInterrupt

        monkeypatch.setattr(builds, "build", build)
        with pytest.raises(KeyboardInterrupt):
            add().forwards()

    (line,) = [line for line in said if "could not be cleared away" in line]
    with connection.cursor() as cursor:
        for statement in line.partition("drop them: ")[2].split(";")[:-1]:
            cursor.execute(statement)
    assert_nothing_left_behind()
    insert((1, "isbn 1", 1, "", 1), (2, "isbn 1", 1, "", 1))


def test_a_second_process_that_adds_it_meanwhile_is_told_and_disturbs_nothing(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_table()
    some_books(20, duplicates=3)
    monkeypatch.setattr("integrity.backends.postgresql.session._TRIES", 2)

    with closing(postgres_database.connect()) as another:
        another.execute("SELECT pg_advisory_lock(hashtext('integrity'), hashtext('book.one_per_shelf'))")
        with pytest.raises(OperationRefused, match="Another process is at 'one_per_shelf'"):
            add().forwards()
        assert len(ids()) == 23
    add().forwards()

    assert_unique()
    assert_nothing_left_behind()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
        assert cursor.fetchone() == (0,)


def test_a_session_that_holds_several_locks_is_named_once(postgres_database: Database) -> None:
    make_table()

    with closing(postgres_database.connect()) as own:
        own.execute("SELECT 1 FROM book")
        own.execute("INSERT INTO book (id) VALUES (70000)")
        holders = lock_holders("book", connection=connection)

        assert [getattr(holder, "pid", None) for holder in holders] == [own.info.backend_pid]


def test_a_lock_that_a_prepared_transaction_holds_is_named(
    postgres_database: Database, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if postgres_database.execute("SHOW max_prepared_transactions") == [("0",)]:
        pytest.skip("This server prepares no transactions")
    make_table()
    settings.INTEGRITY_LOCK_TIMEOUT = 0.05
    monkeypatch.setattr("integrity.backends.postgresql.session._TRIES", 2)

    with closing(postgres_database.connect()) as own:
        own.execute("INSERT INTO book (id) VALUES (70000)")
        own.execute("PREPARE TRANSACTION 'left behind'")
    try:
        with pytest.raises(OperationRefused, match="prepared transaction 'left behind'"):
            add().forwards()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ROLLBACK PREPARED 'left behind'")

    assert_nothing_left_behind()


def test_timeouts_of_the_session_are_put_back(postgres_database: Database) -> None:
    make_table()
    some_books(20, duplicates=3)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '7s'; SET statement_timeout = '9s'")

    add().forwards()
    with pytest.raises(OperationRefused):
        add(constraint=UniqueConstraint(fields=["shelf"], name="by_shelf"), rule=None).forwards()

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
        assert cursor.fetchone() == ("7s", "9s")


def test_a_short_statement_timeout_does_not_end_the_work(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_table()
    seen: list[Any] = []

    def build(*arguments: Any, **options: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('statement_timeout')")
            seen.append(cursor.fetchone())
        original(*arguments, **options)

    original = builds.build
    monkeypatch.setattr(builds, "build", build)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '30s'")

    add().forwards()

    assert seen == [("0",)]


def test_only_the_owner_may_and_is_named(postgres_database: Database) -> None:
    make_table()
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        owner = cursor.fetchone()[0]
        cursor.execute("CREATE ROLE no_owner_of_books")
        cursor.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO no_owner_of_books")
        cursor.execute("SET ROLE no_owner_of_books")
    try:
        with pytest.raises(OperationRefused, match=owner):
            add().forwards()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")
            cursor.execute("DROP OWNED BY no_owner_of_books; DROP ROLE no_owner_of_books")


def test_a_deferrable_constraint_is_not_satisfied_by_an_index_that_cannot_wait(postgres_database: Database) -> None:
    make_table()
    postgres_database.execute("CREATE UNIQUE INDEX of_the_owner ON book (isbn, shelf)")
    constraint = UniqueConstraint(fields=["isbn", "shelf"], name="one_per_shelf", deferrable=Deferrable.DEFERRED)

    add(constraint=constraint).forwards()

    assert names() == ["of_the_owner", "one_per_shelf"]


def test_writing_past_the_guard_is_noticed_and_repaired(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_table()
    some_books(20, duplicates=3)
    original = builds.build
    sneaked: list[bool] = []

    def build(*arguments: Any, **options: Any) -> None:
        if not sneaked:
            sneaked.append(True)
            with closing(postgres_database.connect()) as own:
                own.execute("SET session_replication_role = replica")
                own.execute("INSERT INTO book (id, isbn, shelf, pages) VALUES (80000, 'isbn 1', 1, 999)")
                own.commit()
        original(*arguments, **options)

    monkeypatch.setattr(builds, "build", build)

    add().forwards()

    assert ids() == list(range(20))
    assert_nothing_left_behind()
