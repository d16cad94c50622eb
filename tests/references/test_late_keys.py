"""Children whose primary key is the reference, and what references *them* by foreign keys of any kind."""

from __future__ import annotations

import pytest

from tests.databases import Database
from tests.ponies.merging import rows_of, twins
from tests.ponies.models import Pony
from tests.references.conftest import Merge
from tests.snapshots import snapshot

AT_ONCE = ["", "ON UPDATE CASCADE", "ON DELETE RESTRICT"]


def stables(ponies: Database, how: str) -> None:
    """Ponies have stables, as another framework would make them; stables have windows."""
    ponies.execute("CREATE TABLE stable (pony bigint PRIMARY KEY REFERENCES ponies_pony, door text)")
    ponies.execute(f"CREATE TABLE glass (id int PRIMARY KEY, stable bigint REFERENCES stable {how})")


@pytest.mark.parametrize("how", [*AT_ONCE, "DEFERRABLE", "ON UPDATE RESTRICT DEFERRABLE"])
def test_a_row_of_another_key_that_is_referenced(ponies: Database, merge: Merge, how: str) -> None:
    stables(ponies, how)
    twins()
    ponies.execute("INSERT INTO stable VALUES (2, 'oak')")
    ponies.execute("INSERT INTO glass VALUES (1, 2), (2, NULL)")
    before = snapshot()

    run = merge(model="ponies.Pony", fields=("name",))

    if how.endswith("DEFERRABLE") or ponies.vendor == "sqlite":  # where every foreign key can wait
        assert run.refused == ()
        assert sorted((row["id"], row["stable"]) for row in rows_of("glass")) == [(1, 1), (2, None)]
    else:
        (refusal,) = run.refused
        assert refusal.reason == (
            "a row of stable would get another key while glass.stable points at it, by a foreign key that cannot wait; "
            "make that DEFERRABLE"
        )
        assert snapshot() == before


@pytest.mark.parametrize("also", ["ponies_pony", "ponies_toy"])
def test_a_row_of_another_key_is_given_back_though_another_foreign_key_of_its_followers_cannot_wait(
    ponies: Database, merge: Merge, also: str
) -> None:
    stables(ponies, "ON UPDATE RESTRICT DEFERRABLE")
    ponies.execute(f"ALTER TABLE glass ADD COLUMN other bigint REFERENCES {also}")
    twins()
    ponies.execute("INSERT INTO ponies_toy (id, name) VALUES (2, 'a ball')")
    ponies.execute("INSERT INTO stable VALUES (2, 'oak')")
    ponies.execute("INSERT INTO glass VALUES (1, 2, 2)")

    run = merge(model="ponies.Pony", fields=("name",))

    assert run.refused == ()
    assert [row["stable"] for row in rows_of("glass")] == [1]


def test_a_row_that_goes_gives_those_that_reference_it_to_one_whose_key_is_there(
    ponies: Database, merge: Merge
) -> None:
    stables(ponies, "")
    twins()
    ponies.execute("INSERT INTO stable VALUES (1, 'elm'), (2, 'oak')")
    ponies.execute("INSERT INTO glass VALUES (1, 2)")

    run = merge(model="ponies.Pony", fields=("name",))

    assert (run.removed, run.collisions, run.refused) == (1, 1, ())
    assert [row["stable"] for row in rows_of("glass")] == [1]


def test_a_row_of_another_key_that_its_own_table_references(ponies: Database, merge: Merge) -> None:
    ponies.execute(
        "CREATE TABLE stable (pony bigint PRIMARY KEY REFERENCES ponies_pony, beside bigint REFERENCES stable)"
    )
    twins()
    ponies.execute("INSERT INTO stable VALUES (2, 2)")

    run = merge(model="ponies.Pony", fields=("name",))

    assert run.refused == ()
    assert [(row["pony"], row["beside"]) for row in rows_of("stable")] == [(1, 1)]


def test_a_row_that_takes_over_the_key_of_one_that_goes(ponies: Database, merge: Merge) -> None:
    ponies.execute(
        "CREATE TABLE stable (groom bigint UNIQUE REFERENCES ponies_pony, pony bigint PRIMARY KEY "
        "REFERENCES ponies_pony)"
    )
    ponies.execute("CREATE TABLE glass (id int PRIMARY KEY, stable bigint REFERENCES stable DEFERRABLE)")
    twins()
    for pk in (3, 4):
        Pony.all_objects.create(pk=pk, name=f"Star {pk}")
    # The first one's groom will be the third one's: it goes. The second one gets its key.
    ponies.execute("INSERT INTO stable VALUES (2, 1), (4, 2), (1, 3)")
    ponies.execute("INSERT INTO glass VALUES (1, 2)")

    run = merge(model="ponies.Pony", fields=("name",))

    assert (run.removed, run.collisions, run.refused) == (1, 1, ())
    assert sorted((row["pony"], row["groom"]) for row in rows_of("stable")) == [(1, 4), (3, 1)]
    assert [row["stable"] for row in rows_of("glass")] == [1]
