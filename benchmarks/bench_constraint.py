"""How long a writer waits while a unique constraint comes to a table with duplicates, and how long the whole takes.

    python -m benchmarks.bench_constraint [ROWS]

Eight connections insert, upsert, update and delete all the time, duplicates among it. Four ways: nothing (the
baseline's own worst wait), the operation, the SQL that teams write (DELETE, then ADD CONSTRAINT), and DELETE with
the ``SaferAddUniqueConstraint`` of django-pg-migration-tools. That is no requirement of ours:
``pip install django-pg-migration-tools==0.1.26``, or its part is left out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.util import find_spec

from psycopg import IsolationLevel

from benchmarks.scratch import postgresql
from tests.databases import Database
from tests.operations.books import KEY, Change, make_table
from tests.operations.test_unique import add
from tests.operations.writing import Writers

SHARE = 20  # every 20th row is one too many
BASELINE = 15  # seconds in which the writers are left to themselves


def fill(database: Database, rows: int) -> None:
    """Make the table: ``rows`` rows, 5 % of them redundant, with some text to weigh them."""
    make_table()
    database.execute(
        f"INSERT INTO book SELECT n, 'isbn ' || n %% {rows - rows // SHARE}, 0, repeat('x', 100), n "
        f"FROM generate_series(0, {rows - 1}) AS n",
        (),
    )
    database.execute("ANALYZE book")


DELETE = """
    DELETE FROM book b USING (
        SELECT isbn, shelf, min(pages) AS pages FROM book GROUP BY 1, 2 HAVING count(*) > 1
    ) AS k WHERE b.isbn = k.isbn AND b.shelf = k.shelf AND b.pages > k.pages
"""


def original(database: Database) -> None:
    """What the migration at fault did, in one transaction."""
    with database.connect() as own:
        own.execute(DELETE)
        own.execute("ALTER TABLE book ADD CONSTRAINT one_per_shelf UNIQUE (isbn, shelf)")


def safer(database: Database) -> None:
    """The same DELETE, then the constraint by another library's operation, which does not remove duplicates."""
    from django_pg_migration_tools.operations import SaferAddUniqueConstraint

    with database.connect() as own:
        own.execute(DELETE)
    Change(SaferAddUniqueConstraint("book", KEY)).forwards()


def measure(name: str, rows: int, level: IsolationLevel, work: Callable[[Database], object]) -> None:
    """Run one way while writers write, and print what they felt."""
    with postgresql() as database:
        fill(database, rows)
        with Writers(url=database.url, level=level, pause=0.002) as writers:
            time.sleep(2)  # their first statements connect and plan
            writers.waits.clear()
            began = time.monotonic()
            error = ""
            try:
                work(database)
            except Exception as failure:
                error = f"FAILED: {str(failure).splitlines()[0][:60]}"
            took = time.monotonic() - began
            waits = sorted(writers.waits)
        left = database.execute("SELECT count(*) FROM (SELECT 1 FROM book GROUP BY isbn, shelf HAVING count(*) > 1) d")
        print(
            f"{name:10} {level.name:16} {took:7.1f} s  worst wait {waits[-1] * 1000:8.1f} ms  "
            f"99.9 % {waits[int(len(waits) * 0.999)] * 1000:7.1f} ms  {len(waits):7} statements  "
            f"{left[0][0]} groups left  {len(writers.wrong)} wrong  {error}"
        )


def main() -> None:
    """Compare the ways at both isolation levels."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    print(f"{rows} rows, {rows // SHARE} redundant, 8 writers")
    for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.REPEATABLE_READ):
        measure("baseline", rows, level, lambda _: time.sleep(BASELINE))
        measure("online", rows, level, lambda _: add().forwards())
        measure("original", rows, level, original)
        if find_spec("django_pg_migration_tools"):
            measure("safer", rows, level, safer)


if __name__ == "__main__":
    main()
