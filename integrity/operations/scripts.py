"""The same addition as a script to review, for schemas that Alembic or plain SQL own.

Both forms can be run again: they stop at duplicates, drop what a broken build left, build concurrently, attach
and check. They hold no guard: where duplicates are still being written, the build fails and says so.
"""

from __future__ import annotations

from integrity.backends.uniqueness import Review

_SQL = """\
-- {name} on {table}, without stopping writers. Run with: psql --no-psqlrc --set ON_ERROR_STOP=1 --file THIS_FILE
-- It may be run again. Nothing here removes a row.
\\set ON_ERROR_STOP 1
SET lock_timeout = '{lock_timeout}';
SET statement_timeout = 0;

-- 1. No duplicates: they would make the build fail after it has read the whole table.
{no_duplicates}

-- 2. What a broken build left, if anything (it would make IF NOT EXISTS succeed over an invalid index).
{leftover}
\\gexec

-- 3. The build: it waits for older transactions, and needs to be outside a transaction itself.
SET lock_timeout = 0;
{build}
SET lock_timeout = '{lock_timeout}';

-- 4. The constraint takes over the index: a lock for a moment.
{attach}

-- 5. What is there now.
{check}
RESET lock_timeout;
RESET statement_timeout;
"""

_ALEMBIC = '''\
"""{name} on {table}, without stopping writers. It may be run again; nothing here removes a row."""

from alembic import op

revision = "CHANGE ME"
down_revision = "CHANGE ME"
branch_labels = None
depends_on = None

NO_DUPLICATES = """{no_duplicates}"""
LEFTOVER = """{leftover}"""
BUILD = """{build}"""
ATTACH = """{attach}"""
CHECK = """{check}"""


def upgrade() -> None:
    with op.get_context().autocommit_block():  # a concurrent build cannot run in a transaction
        connection = op.get_bind()
        connection.exec_driver_sql("SET lock_timeout = '{lock_timeout}'")
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.exec_driver_sql(NO_DUPLICATES)
        for (statement,) in connection.exec_driver_sql(LEFTOVER).fetchall():
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql("SET lock_timeout = 0")
        connection.exec_driver_sql(BUILD)
        connection.exec_driver_sql("SET lock_timeout = '{lock_timeout}'")
        connection.exec_driver_sql(ATTACH)
        connection.exec_driver_sql(CHECK)
        connection.exec_driver_sql("RESET lock_timeout")
        connection.exec_driver_sql("RESET statement_timeout")


def downgrade() -> None:
    op.execute("""{drop}""")
'''


def sql_script(review: Review, *, lock_timeout: str) -> str:
    """Return a script for ``psql``."""
    return _SQL.format(lock_timeout=lock_timeout, **_parts(review))


def alembic_script(review: Review, *, lock_timeout: str) -> str:
    """Return an Alembic revision, but for its numbers."""
    # Drivers take a percent sign for the beginning of a parameter.
    escaped = {
        name: part.replace("\\", "\\\\").replace('"""', '\\"\\"\\"').replace("%", "%%")
        for name, part in _parts(review).items()
    }
    return _ALEMBIC.format(lock_timeout=lock_timeout, **escaped)


def _parts(review: Review) -> dict[str, str]:
    return {
        "name": review.name,
        "table": review.table,
        "no_duplicates": review.no_duplicates,
        "leftover": review.leftover,
        "build": review.build,
        "attach": review.attach,
        "check": review.check,
        "drop": review.drop,
    }
