"""The whole operation while eight connections write; the benchmark does the same on a million rows."""

from __future__ import annotations

import pytest
from psycopg import IsolationLevel

from integrity.backends import get_catalogue
from tests.databases import Database
from tests.operations.books import make_table
from tests.operations.test_unique import add, assert_nothing_left_behind
from tests.operations.writing import Writers
from tests.waiting import eventually

LEVELS = [IsolationLevel.READ_COMMITTED, IsolationLevel.REPEATABLE_READ]


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
def test_no_row_of_a_writer_is_lost_and_no_duplicate_stays(postgres_database: Database, level: IsolationLevel) -> None:
    make_table()
    postgres_database.execute(
        "INSERT INTO book (id, isbn, shelf, pages) "
        "SELECT n, 'isbn ' || n %% 9500, 0, n FROM generate_series(0, 9999) AS n",
        (),
    )

    with Writers(url=postgres_database.url, level=level, pause=0.001) as writers:
        eventually(lambda: writers.outcomes.total() > 100)
        add().forwards()
        after = writers.outcomes.total()
        eventually(lambda: writers.outcomes.total() > after + 100)

    assert writers.wrong == []
    assert postgres_database.execute("SELECT isbn FROM book GROUP BY isbn, shelf HAVING count(*) > 1") == []
    there = {number for (number,) in postgres_database.execute("SELECT id FROM book")}
    assert writers.committed <= there
    assert writers.outcomes["UniqueViolation"] > 0
    (index,) = [i for i in get_catalogue(using="default").indexes("book") if not i.primary]
    assert (index.name, index.valid, index.constraint) == ("one_per_shelf", True, True)
    assert_nothing_left_behind()
