"""Keys as SQLite alone has them: what it counts as a reference is decided by the referenced column."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from django.apps import apps

from integrity.dedupe import DedupeRule, apply_plan, make_plan
from integrity.dedupe.mismatches import MismatchedKey
from integrity.dedupe.target import MissingTable
from tests.commands import CommandResult
from tests.databases import Database
from tests.ponies.merging import column
from tests.references.conftest import Merge

Call = Callable[..., CommandResult]
Make = Callable[[str], None]


@pytest.fixture
def ponies(sqlite_ponies: Database) -> Database:
    """Only SQLite has such keys."""
    return sqlite_ponies


@pytest.fixture
def make(ponies: Database) -> Make:
    """Runs a script that makes and fills tables."""

    def make(script: str) -> None:
        with contextlib.closing(ponies.connect()) as connection:
            connection.executescript(script)

    return make


def colours(*, key: str, slugs: str) -> str:
    """A script that makes the table of colours anew, all of one name but for those after a semicolon."""
    same, _, others = slugs.partition(";")
    rows = [(slug, "red") for slug in same.split()] + [(slug, slug) for slug in others.split()]
    values = ", ".join(map(str, rows))
    return f"""
        DROP TABLE ponies_colour;
        CREATE TABLE ponies_colour (slug {key}, name text NOT NULL);
        INSERT INTO ponies_colour VALUES {values};
    """


def test_a_reference_in_another_case_to_a_key_without_case_is_not_lost(merge: Merge, make: Make) -> None:
    make(colours(key="text PRIMARY KEY COLLATE NOCASE", slugs="ann Bob"))
    make("""
        CREATE TABLE stain (id integer PRIMARY KEY, slug text REFERENCES ponies_colour ON DELETE CASCADE);
        INSERT INTO stain VALUES (1, 'bob'), (2, 'Bob'), (3, 'ann');
    """)

    run = merge(model="ponies.Colour", fields=("name",))

    assert (run.removed, run.repointed, run.refused) == (1, 2, ())
    assert column("stain", "slug") == ["ann", "ann", "ann"]


def test_a_reference_without_case_to_keys_in_two_cases_is_to_one_of_them(merge: Merge, make: Make) -> None:
    make(colours(key="text PRIMARY KEY", slugs="Ann Bob; bob"))
    make("""
        CREATE TABLE stain (id integer PRIMARY KEY, slug text COLLATE NOCASE REFERENCES ponies_colour);
        INSERT INTO stain VALUES (1, 'bob'), (2, 'Bob');
    """)

    merge(model="ponies.Colour", fields=("name",))

    assert column("stain", "slug") == ["Ann", "bob"]


def test_a_text_that_stands_for_a_number_is_a_reference_to_it(merge: Merge, make: Make) -> None:
    make(colours(key="integer PRIMARY KEY", slugs="5 7"))
    make("""
        CREATE TABLE stain (id integer PRIMARY KEY, slug text REFERENCES ponies_colour ON DELETE CASCADE);
        INSERT INTO stain VALUES (1, '007'), (2, '7');
    """)

    merge(model="ponies.Colour", fields=("name",))

    assert column("stain", "slug") == ["5", "5"]


def test_a_key_that_would_become_another_one_in_a_column_of_numbers_is_refused(merge: Merge, make: Make) -> None:
    make(colours(key="text PRIMARY KEY", slugs="007 5; 7"))
    make("""
        CREATE TABLE stain (id integer PRIMARY KEY, slug integer REFERENCES ponies_colour);
        INSERT INTO stain VALUES (1, '5'), (2, '7');
    """)

    run = merge(model="ponies.Colour", fields=("name",))

    assert [refusal.reason for refusal in run.refused] == [
        "stain.slug cannot hold the key of the row that stays as it is"
    ]
    assert column("stain", "slug") == [5, 7]


def test_a_key_that_a_column_of_numbers_can_hold_moves_and_meets_what_is_there(merge: Merge, make: Make) -> None:
    make(colours(key="text PRIMARY KEY", slugs="11 red; 7"))
    make("""
        CREATE TABLE stain (id integer PRIMARY KEY, slug numeric UNIQUE REFERENCES ponies_colour);
        INSERT INTO stain VALUES (1, '11'), (2, 'red'), (3, '7');
    """)

    run = merge(model="ponies.Colour", fields=("name",))

    assert (run.removed, run.collisions, run.refused) == (1, 1, ())
    assert column("stain", "slug") == [11, 7]


def test_a_row_whose_own_number_is_the_reference_moves_or_meets_another(merge: Merge, make: Make) -> None:
    make(colours(key="integer PRIMARY KEY", slugs="5 7; 9"))
    make("""
        CREATE TABLE stain (slug integer PRIMARY KEY REFERENCES ponies_colour, deep integer);
        INSERT INTO stain VALUES (5, 1), (7, 2), (9, 3);
        CREATE TABLE paint (slug integer PRIMARY KEY REFERENCES ponies_colour);
        INSERT INTO paint VALUES (7);
    """)

    run = merge(model="ponies.Colour", fields=("name",))

    assert (run.removed, run.collisions, run.repointed) == (1, 1, 1)
    assert (column("stain", "deep"), column("paint", "slug")) == ([1, 3], [5])


@pytest.mark.parametrize(
    "unique",
    [
        "tag text COLLATE NOCASE); CREATE UNIQUE INDEX one_tag ON stain (slug, tag)",
        "tag text); CREATE UNIQUE INDEX one_tag ON stain (slug, tag COLLATE NOCASE)",
        "tag text COLLATE NOCASE, UNIQUE (slug, tag))",
    ],
    ids=["column", "index", "constraint"],
)
def test_children_that_are_unique_without_case_meet_in_any_case(merge: Merge, make: Make, unique: str) -> None:
    make(colours(key="integer PRIMARY KEY", slugs="5 7"))
    make(f"""
        CREATE TABLE stain (id integer PRIMARY KEY, slug integer REFERENCES ponies_colour, {unique};
        INSERT INTO stain VALUES (1, 5, 'wet'), (2, 7, 'WET'), (3, 7, 'dry');
    """)

    run = merge(model="ponies.Colour", fields=("name",))

    assert (run.collisions, run.refused) == (1, ())
    assert column("stain", "tag") == ["dry", "wet"]


@pytest.mark.parametrize("index", ["", "CREATE INDEX by_name ON ponies_colour (name);"], ids=["no_index", "index"])
def test_a_new_row_whose_key_has_another_case_is_noticed(ponies: Database, make: Make, index: str) -> None:
    make(f"""
        DROP TABLE ponies_colour;
        CREATE TABLE ponies_colour (slug text PRIMARY KEY, name text NOT NULL COLLATE NOCASE);
        INSERT INTO ponies_colour VALUES ('a', 'red'), ('b', 'red');
        {index}
    """)
    rule = DedupeRule(model="ponies.Colour", fields=("name",))
    plan = make_plan(rule, apps=apps, using="default")
    ponies.execute("INSERT INTO ponies_colour VALUES ('c', 'Red')")

    run = apply_plan(plan.id, rule, apps=apps, using="default")

    assert (run.removed, len(run.refused)) == (0, 1)


@pytest.mark.parametrize("name", ["100%s", 'q"uote', "{brace}", "it's"])
def test_a_referencing_table_of_any_name(merge: Merge, make: Make, name: str) -> None:
    quoted = name.replace('"', '""')
    make(colours(key="integer PRIMARY KEY", slugs="5 7"))
    make(f"""
        CREATE TABLE "{quoted}" (id integer PRIMARY KEY, "{quoted}" integer REFERENCES ponies_colour);
        INSERT INTO "{quoted}" VALUES (1, 7);
    """)

    assert merge(model="ponies.Colour", fields=("name",)).repointed == 1


def test_a_table_whose_name_its_model_has_in_another_case_is_one_table(merge: Merge, make: Make) -> None:
    make(colours(key="text PRIMARY KEY", slugs="blue red"))
    make("""
        DROP TABLE ponies_dye;
        CREATE TABLE Ponies_Dye (ID integer PRIMARY KEY, Colour_ID text REFERENCES Ponies_Colour, price integer);
        INSERT INTO Ponies_Dye VALUES (1, 'red', 3);
    """)

    assert merge(model="ponies.Colour", fields=("name",)).repointed == 1


def test_a_column_whose_name_its_model_has_in_another_case_is_named(ponies: Database, make: Make) -> None:
    make("DROP TABLE ponies_colour; CREATE TABLE ponies_colour (Slug text PRIMARY KEY, NAME text NOT NULL)")

    with pytest.raises(MissingTable, match=r"has column 'NAME', 'Slug', which ponies\.Colour names in another case"):
        make_plan(DedupeRule(model="ponies.Colour", fields=("name",)), apps=apps, using="default")


def test_children_of_a_child_whose_own_key_moves_move_with_it(merge: Merge, make: Make) -> None:
    make(colours(key="integer PRIMARY KEY", slugs="5 7"))
    make("""
        CREATE TABLE stain (slug bigint PRIMARY KEY REFERENCES ponies_colour ON DELETE CASCADE);
        CREATE TABLE wash (id integer PRIMARY KEY, stain bigint REFERENCES stain ON DELETE CASCADE);
        INSERT INTO stain VALUES (7);
        INSERT INTO wash VALUES (1, 7);
    """)

    run = merge(model="ponies.Colour", fields=("name",))

    assert (run.repointed, run.refused) == (2, ())
    assert (column("stain", "slug"), column("wash", "stain")) == ([5], [5])


@pytest.mark.parametrize("target", ["name", "missing"])
def test_a_foreign_key_to_no_key_is_refused_with_what_to_do(ponies: Database, make: Make, target: str) -> None:
    make(colours(key="integer PRIMARY KEY", slugs="5 7"))
    make(f"CREATE TABLE stain (id integer PRIMARY KEY, colour text REFERENCES ponies_colour ({target}))")

    with pytest.raises(MismatchedKey, match=f"stain.colour points at ponies_colour .{target}.*unique index"):
        make_plan(DedupeRule(model="ponies.Colour", fields=("name",)), apps=apps, using="default")


def test_a_row_whose_primary_key_is_null_is_refused_for_that(merge: Merge, make: Make) -> None:
    make(colours(key="text PRIMARY KEY", slugs="a b"))
    make("INSERT INTO ponies_colour VALUES (NULL, 'red')")

    run = merge(model="ponies.Colour", fields=("name",))

    assert run.removed == 0
    assert ["NULL" in refusal.reason for refusal in run.refused] == [True]


def test_a_text_that_is_not_utf8_says_what_to_do(ponies: Database, make: Make, call: Call) -> None:
    make(colours(key="text PRIMARY KEY", slugs="a b"))
    make("UPDATE ponies_colour SET slug = CAST(x'ff41' AS text) WHERE slug = 'b'")

    result = call("dedupe", "ponies.Colour", "--key", "name")

    assert result.code == 2
    assert "not UTF-8" in result.err
