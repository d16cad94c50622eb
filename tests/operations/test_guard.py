"""The guard rejects what the coming constraint will, at every isolation level, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
from django.db import IntegrityError, connection
from django.db.models import UniqueConstraint
from django.db.models.functions import Collate
from psycopg import IsolationLevel

from integrity.backends.postgresql.definition import wanted_index
from integrity.backends.postgresql.guardkeys import GuardKeys
from integrity.backends.postgresql.guards import Guard
from tests.databases import Database
from tests.operations.books import KEY, book_state, insert, make_table, some_books
from tests.waiting import eventually

IGNORES_CASE = "CREATE COLLATION ignores_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
LEVELS = [IsolationLevel.READ_COMMITTED, IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE]


def make_guard(constraint: object = KEY) -> Guard:
    """Set up the guard of one_per_shelf over what is in the table."""
    model = book_state().apps.get_model("library", "Book")
    found = wanted_index(model=model, constraint=constraint, connection=connection)  # type: ignore[arg-type]
    assert found is not None
    index, key = found
    guard = Guard(table="book", index=index, key=key, connection=connection)
    guard.set_up(say=lambda _: None)
    return guard


@pytest.fixture
def guarded(postgres_database: Database) -> Database:
    """1,200 books, 20 of them twice, and a guard."""
    make_table()
    some_books(1200, duplicates=20)
    make_guard()
    return postgres_database


@contextmanager
def session(database: Database, level: IsolationLevel = IsolationLevel.READ_COMMITTED) -> Iterator[psycopg.Connection]:
    with closing(psycopg.connect(database.url)) as own:
        own.isolation_level = level
        yield own


def put(own: psycopg.Connection, number: int, isbn: str | None, shelf: int | None = 1) -> None:
    own.execute("INSERT INTO book (id, isbn, shelf) VALUES (%s, %s, %s)", (number, isbn, shelf))


@pytest.mark.parametrize("number", [0, 500, 1199])
def test_a_duplicate_of_a_row_that_was_there_is_rejected_as_the_constraint_will(guarded: Database, number: int) -> None:
    with session(guarded) as own, pytest.raises(psycopg.errors.UniqueViolation) as refused:
        put(own, 9000, f"isbn {number}", number % 7)

    assert refused.value.diag.constraint_name == "one_per_shelf"
    assert refused.value.diag.table_name == "book"
    assert str(refused.value).startswith('duplicate key value violates unique constraint "one_per_shelf"')
    assert f"(isbn {number}, {number % 7})" in str(refused.value.diag.message_detail)


def test_django_sees_its_own_integrity_error(guarded: Database) -> None:
    with pytest.raises(IntegrityError, match="one_per_shelf"):
        insert((9000, "isbn 5", 5, "", 1))


@pytest.mark.parametrize("level", LEVELS)
def test_two_new_rows_with_one_key_do_not_both_get_in(guarded: Database, level: IsolationLevel) -> None:
    with session(guarded, level) as first, session(guarded, level) as second:
        for own in (first, second):
            own.execute("SELECT count(*) FROM book")  # takes the snapshot
        put(first, 9000, "new")

        error = in_thread(lambda: put(second, 9001, "new"), until_waiting=guarded)
        first.commit()

        rejections = (psycopg.errors.UniqueViolation, psycopg.errors.SerializationFailure)
        assert isinstance(error(), rejections[:1] if level is not IsolationLevel.SERIALIZABLE else rejections)


@pytest.mark.parametrize("level", LEVELS)
def test_what_a_snapshot_cannot_see_is_seen(guarded: Database, level: IsolationLevel) -> None:
    with session(guarded, level) as late, session(guarded) as early:
        late.execute("SELECT count(*) FROM book")
        put(early, 9000, "new")
        early.commit()

        with pytest.raises(psycopg.errors.UniqueViolation) as refused:
            put(late, 9001, "new")

    assert refused.value.diag.constraint_name == "one_per_shelf"


@pytest.mark.parametrize("level", LEVELS)
def test_a_key_whose_insert_was_rolled_back_is_free(guarded: Database, level: IsolationLevel) -> None:
    with session(guarded, level) as first, session(guarded, level) as second:
        put(first, 9000, "new")

        error = in_thread(lambda: put(second, 9001, "new"), until_waiting=guarded)
        first.rollback()

        assert error() is None


@pytest.mark.parametrize("level", LEVELS)
def test_a_key_whose_row_was_deleted_is_free(guarded: Database, level: IsolationLevel) -> None:
    guarded.execute("DELETE FROM book WHERE id = 300")

    with session(guarded, level) as own:
        put(own, 9000, "isbn 300", 300 % 7)
        with pytest.raises(psycopg.errors.UniqueViolation):
            put(own, 9001, "isbn 300", 300 % 7)


@pytest.mark.parametrize("level", LEVELS)
def test_a_row_may_be_deleted_and_inserted_again_in_one_transaction(guarded: Database, level: IsolationLevel) -> None:
    with session(guarded, level) as own:
        own.execute("DELETE FROM book WHERE id = 300")
        put(own, 9000, "isbn 300", 300 % 7)
        own.commit()

    assert guarded.execute("SELECT id FROM book WHERE isbn = 'isbn 300'") == [(9000,)]


def test_an_insert_waits_for_the_transaction_that_deletes_the_row(guarded: Database) -> None:
    with session(guarded) as first, session(guarded) as second:
        first.execute("DELETE FROM book WHERE id = 300")

        error = in_thread(lambda: put(second, 9000, "isbn 300", 300 % 7), until_waiting=guarded)
        first.commit()

        assert error() is None


@pytest.mark.parametrize("level", LEVELS)
def test_a_key_that_an_update_gave_up_is_free_and_the_one_it_took_is_not(
    guarded: Database, level: IsolationLevel
) -> None:
    guarded.execute("UPDATE book SET isbn = 'moved' WHERE id = 300")

    with session(guarded, level) as own:
        put(own, 9000, "isbn 300", 300 % 7)
        with pytest.raises(psycopg.errors.UniqueViolation):
            put(own, 9001, "moved", 300 % 7)


def test_an_update_cannot_take_a_key(guarded: Database) -> None:
    with session(guarded) as own, pytest.raises(psycopg.errors.UniqueViolation):
        own.execute("UPDATE book SET isbn = 'isbn 301', shelf = 301 %% 7 WHERE id = 300", ())


def test_an_old_duplicate_may_be_changed_in_all_but_its_key(guarded: Database) -> None:
    guarded.execute("UPDATE book SET title = 'new title' WHERE isbn = 'isbn 3'")

    assert guarded.execute("SELECT count(*) FROM book WHERE title = 'new title'") == [(2,)]


def test_deleting_one_of_two_old_duplicates_does_not_free_their_key(guarded: Database) -> None:
    for holder in (3, 1203):
        with session(guarded) as own:
            own.execute("DELETE FROM book WHERE id = %s", (holder,))
            with pytest.raises(psycopg.errors.UniqueViolation):
                put(own, 9000, "isbn 3", 3)


def test_deleting_both_old_duplicates_frees_their_key(guarded: Database) -> None:
    guarded.execute("DELETE FROM book WHERE isbn = 'isbn 3'")

    guarded.execute("INSERT INTO book (id, isbn, shelf) VALUES (9000, 'isbn 3', 3)")


def test_rows_with_null_in_their_key_are_free(guarded: Database) -> None:
    for number in (9000, 9001):
        with session(guarded) as own:
            put(own, number, None)
            own.commit()


def test_a_truncated_table_starts_afresh(guarded: Database) -> None:
    guarded.execute("TRUNCATE book")

    guarded.execute("INSERT INTO book (id, isbn, shelf) VALUES (1, 'isbn 300', 6)")


def test_a_writer_without_rights_on_the_guard_is_guarded_too(guarded: Database) -> None:
    role = "writer_of_books"
    with session(guarded) as own:
        own.execute(f"CREATE ROLE {role}")
        own.execute(f"GRANT INSERT ON book TO {role}")
        own.execute(f"SET LOCAL ROLE {role}")
        put(own, 9000, "new")
        with pytest.raises(psycopg.errors.UniqueViolation):
            put(own, 9001, "new")


@contextmanager
def guarded_by(database: Database, collation: str, *, column: str = "") -> Iterator[psycopg.Connection]:
    """A session where the isbn is to be unique under one collation, while its column has another."""
    if not database.execute("SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu'"):
        pytest.skip("this server has no ICU, and without it collations agree on what is equal")
    database.execute(IGNORES_CASE)
    make_table()
    if column:
        database.execute(f"ALTER TABLE book ALTER COLUMN isbn TYPE varchar(20) COLLATE {column}")
    some_books(3)
    make_guard(UniqueConstraint(Collate("isbn", collation), name="one_per_shelf"))
    with session(database) as own:
        yield own


def test_a_key_is_compared_by_the_constraints_collation(postgres_database: Database) -> None:
    with guarded_by(postgres_database, "ignores_case") as own, pytest.raises(psycopg.errors.UniqueViolation) as refused:
        put(own, 9000, "ISBN 2")

    assert refused.value.diag.message_detail == "Key (isbn)=(ISBN 2) already exists."


def test_a_key_is_not_compared_by_the_columns_collation(postgres_database: Database) -> None:
    with guarded_by(postgres_database, "C", column="ignores_case") as own:
        put(own, 9000, "ISBN 2")
        with pytest.raises(psycopg.errors.UniqueViolation):
            put(own, 9001, "ISBN 2")


@pytest.mark.parametrize("level", LEVELS[:2])
def test_racing_writers_leave_no_new_duplicate(guarded: Database, level: IsolationLevel) -> None:
    start = threading.Barrier(6)
    unexpected: list[BaseException] = []

    def write(number: int) -> None:
        with session(guarded, level) as own:
            for key in range(60):
                if key % 10 == 0:
                    start.wait(30)
                try:
                    if (key + number) % 5 == 0:
                        own.execute("DELETE FROM book WHERE isbn = %s", (f"raced {key - 1}",))
                    put(own, 10_000 + 1000 * number + key, f"raced {key}")
                    own.commit()
                except (psycopg.errors.UniqueViolation, psycopg.errors.SerializationFailure):
                    own.rollback()
                except BaseException as error:
                    unexpected.append(error)
                    raise

    writers = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert unexpected == []
    assert guarded.execute("SELECT isbn FROM book WHERE isbn LIKE 'raced%%' GROUP BY isbn HAVING count(*) > 1") == []


def test_rows_written_while_the_guard_is_filled_are_known_to_it(postgres_database: Database) -> None:
    make_table()
    some_books(1200)
    original = GuardKeys._fill_batch
    seen: list[object] = []

    def fill_with_interference(
        keys: GuardKeys, last: tuple[object, ...] | None, size: int
    ) -> tuple[int, tuple[object, ...]]:
        if not seen:  # before the first batch, when the trigger is there and no key is known yet
            postgres_database.execute("INSERT INTO book (id, isbn, shelf) VALUES (-1, 'isbn 700', 0)")
            postgres_database.execute("INSERT INTO book (id, isbn, shelf) VALUES (-2, 'brand new', 0)")
        seen.append(last)
        return original(keys, last, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GuardKeys, "_fill_batch", fill_with_interference)
        make_guard()

    assert len(seen) > 1
    for isbn in ("isbn 700", "brand new"):
        for gone in (-1, -2):  # whichever of the two rows the guard knows as the holder
            with session(postgres_database) as own:
                own.execute("DELETE FROM book WHERE id = %s AND isbn = 'isbn 700'", (gone,))
                with pytest.raises(psycopg.errors.UniqueViolation):
                    put(own, 9000, isbn, 0)


def in_thread(work: Callable[[], None], *, until_waiting: Database) -> Callable[[], BaseException | None]:
    """Start ``work``, return once it waits for a lock; the result gives what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    eventually(lambda: until_waiting.execute(waits) or not thread.is_alive())

    def result() -> BaseException | None:
        thread.join(30)
        return raised[0] if raised else None

    return result
