"""A herd of three pairs, each with its belongings, and writers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from integrity.dedupe import DedupeRule
from tests.databases import Database
from tests.ponies.models import LooseNote, Passport, Pony, SecretNote
from tests.races.writers import Writer

NAMES = DedupeRule(model="ponies.Pony", fields=("name",), name="one pony per name")


def make_pairs() -> None:
    """Ponies 1 and 2 have one name, 3 and 4, 5 and 6; the second of each is redundant and has all the belongings."""
    Pony.all_objects.bulk_create(Pony(pk=n, name=f"pair {(n + 1) // 2}") for n in range(1, 7))
    for redundant in (2, 4, 6):
        SecretNote.objects.create(pk=redundant, pony_id=redundant, text="theirs")
        LooseNote.objects.create(pk=redundant, pony_id=redundant, text="theirs")
        Passport.objects.create(pk=redundant, pony_id=redundant, number="theirs")


@pytest.fixture
def pairs(ponies: Database) -> Database:
    make_pairs()
    return ponies


@pytest.fixture
def postgres_pairs(postgres_ponies: Database) -> Database:
    make_pairs()
    return postgres_ponies


@pytest.fixture
def sqlite_pairs(sqlite_ponies: Database) -> Database:
    make_pairs()
    return sqlite_ponies


@pytest.fixture
def writer(postgres_pairs: Database) -> Iterator[Callable[[psycopg.IsolationLevel], Writer]]:
    """Opens writers on that database."""
    opened: list[Writer] = []

    def open_writer(isolation: psycopg.IsolationLevel) -> Writer:
        opened.append(Writer(postgres_pairs, isolation))
        return opened[-1]

    yield open_writer
    for one in opened:
        one.close()
