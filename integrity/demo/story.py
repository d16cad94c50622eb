"""The main job, step by step: what is wrong, the preview, the apply, the constraint, the refusal, undo and redo.

Each step is the very command that a user would type; the story adds only a sentence before it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import IntegrityError, connections, router, transaction
from rich.console import Console
from rich.rule import Rule
from rich.syntax import Syntax

from integrity.demo.data import make_dirty_data
from integrity.demo.own_database import DATABASE_NAME, empty_own_database
from integrity.models import DedupeRun, Embedding

_FIND = """SELECT invocation_id, embedding_model, COUNT(*)
FROM embedding
GROUP BY invocation_id, embedding_model
HAVING COUNT(*) > 1"""
_WORST = """SELECT id, started_at, COALESCE(octet_length(vector), 0) AS bytes
FROM embedding
WHERE invocation_id = %s AND embedding_model = 'Dummy'
ORDER BY id"""


class Story:
    """Tells the main job on one database, which it empties first."""

    def __init__(self, *, using: str, console: Console, run: Callable[..., int]) -> None:
        self._using = using
        self._console = console
        self._run = run
        """Runs a management command with these arguments and returns its exit code."""

    def tell(self) -> None:
        """Tell it all.

        Raises:
            NotTheDemoDatabase: the database is not named ``integrity_demo``.
        """
        self._begin()
        self._what_is_wrong()
        self._preview_and_apply()
        self._constrain()
        self._undo_and_redo()
        self._where_next()

    def _begin(self) -> None:
        empty_own_database(using=self._using)
        for app in ("contenttypes", "auth", "admin", "sessions"):
            call_command("migrate", app, database=self._using, verbosity=0)
        call_command("migrate", "integrity", "0001", database=self._using, verbosity=0)
        make_dirty_data(using=self._using)

    def _what_is_wrong(self) -> None:
        self._heading("1. What is wrong")
        self._say(
            "Workers asked “is there an embedding?” and then inserted one. The rule “one per invocation and "
            "model” lived in their code; the database never heard of it. The query every team starts with:"
        )
        groups = self._query(_FIND, most=3)
        self._say("And why “keep the smallest id” would be a mistake: the older row of this pair is what a crash left.")
        self._query(_WORST, str(min(group[0] for group in groups)))
        self._command("audit")

    def _preview_and_apply(self) -> None:
        self._heading("2. Look, then decide")
        self._say("The preview changes nothing. It tells which row stays, why, and what happens to the references.")
        self._command("dedupe_embeddings")
        self._say("Applied as previewed. Removed rows are not deleted: they wait in quarantine.")
        self._command("dedupe_embeddings", "--apply", "--plan", "1", "--no-input")

    def _constrain(self) -> None:
        self._heading("3. Make it a rule of the database")
        self._command("migrate", "integrity", "0002")
        self._say("From now on the database itself refuses what the code used to let through:")
        row = Embedding.objects.using(self._using).exclude(vector=None).order_by("pk")[0]
        try:
            with transaction.atomic(using=self._using):
                Embedding.objects.using(self._using).create(
                    invocation_id=row.invocation_id, embedding_model=row.embedding_model, vector=row.vector
                )
        except IntegrityError as error:
            self._console.print(f"  INSERT INTO embedding … → {str(error).splitlines()[0]}", style="bold")

    def _undo_and_redo(self) -> None:
        self._heading("4. Change your mind")
        run = str(DedupeRun.objects.using(self._using).order_by("pk")[0].pk)
        self._say("Undo refuses while the constraint is in the way, and says so:")
        self._command("undo_dedupe", run)
        self._say("Lift it, and every row and every reference comes back as it was:")
        self._command("migrate", "integrity", "0001")
        self._command("undo_dedupe", run)
        self._say("And the redo; `migrate` alone does all of it: plan, apply, quarantine, constraint.")
        self._command("migrate")
        self._command("audit")

    def _where_next(self) -> None:
        self._heading("5. Where to look next")
        password = secrets.token_urlsafe(9)
        users: Any = get_user_model()
        users.objects.db_manager(router.db_for_write(users)).create_superuser("admin", password=password)
        url = f"DATABASE_URL=embedded:///{DATABASE_NAME}"
        self._say("The admin shows runs, quarantined rows, and duplicate groups side by side:")
        self._console.print(f"  {url} .venv/bin/python manage.py runserver", style="bold")
        self._console.print(f"  http://127.0.0.1:8000/admin/   user: admin   password: {password}\n", style="bold")
        self._say("Your own database (nothing is changed by the first two):")
        for line in (
            "export DATABASE_URL=postgresql://user:password@host/name      # or sqlite:////path/to/file",
            ".venv/bin/python manage.py audit",
            ".venv/bin/python manage.py migrate integrity 0001             # our books; adopts your tables as they are",
            ".venv/bin/python manage.py dedupe_embeddings                  # the preview",
        ):
            self._console.print(f"  {line}", style="bold", soft_wrap=True)  # to be copied

    def _heading(self, text: str) -> None:
        self._console.print()
        self._console.print(Rule(text, align="left"))

    def _say(self, text: str) -> None:
        self._console.print(f"\n{text}")

    def _command(self, *arguments: str) -> None:
        self._console.print(f"\n$ manage.py {' '.join(arguments)}", style="bold cyan")
        code = self._run(*arguments)
        if code:
            self._console.print(f"(exit code {code})", style="dim")

    def _query(self, sql: str, *parameters: str, most: int = 10) -> list[tuple[Any, ...]]:
        """Show a query and the first rows of its answer; return them all."""
        self._console.print(
            Syntax(sql % tuple(map(repr, parameters)), "sql", background_color="default", word_wrap=True)
        )
        with connections[self._using].cursor() as cursor:
            cursor.execute(sql, parameters or None)
            rows = sorted(cursor.fetchall(), key=str)
        for row in rows[:most]:
            self._console.print("  " + "  ".join(str(value) for value in row))
        if len(rows) > most:
            self._console.print(f"  … {len(rows)} rows")
        return rows
