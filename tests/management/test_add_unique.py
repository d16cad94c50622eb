"""``manage.py add_unique``: the constraint without a migration, or as a script for others to run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import Model, UniqueConstraint
from django.db.models.functions import Lower, Upper

from integrity.backends import get_catalogue
from integrity.dedupe import DedupeRule, Latest
from integrity.demo.data import make_dirty_data
from integrity.rules import register, registry
from project.embedded.binaries import find_binaries
from tests.commands import CommandResult
from tests.databases import Database
from tests.ponies.models import Contact, Pony, Ribbon, Show, ShowPony, Unicorn

Call = Callable[..., CommandResult]
NAME = "unique_invocation_embedding_model"
ASKED = ("add_unique", "integrity.Embedding", "--constraint", NAME)


@pytest.fixture
def dirty(database_at: Callable[[str], Database]) -> Database:
    """A database before the constraint, with 25 duplicate pairs of embeddings."""
    database = database_at("0001")
    make_dirty_data(using="default")
    return database


def names() -> list[str]:
    return [index.name for index in get_catalogue(using="default").indexes("embedding") if index.valid and index.unique]


def test_the_rule_of_the_table_removes_duplicates_and_the_constraint_comes(dirty: Database, call: Call) -> None:
    result = call(*ASKED)

    assert (result.code, result.out) == (0, f"embedding: {NAME} is in place.\n")
    assert "removed 25 redundant rows" in result.err
    assert NAME in names()
    assert "was there already" in call(*ASKED).err


def test_duplicates_may_be_refused(dirty: Database, call: Call) -> None:
    result = call(*ASKED, "--refuse")

    assert result.code == 2
    assert "25 duplicate groups" in result.err
    assert NAME not in names()


def test_a_key_does_without_a_constraint_of_the_model(dirty: Database, call: Call) -> None:
    result = call("add_unique", "integrity.Invocation", "--key", "run,sequence_number", "--name", "by_place")

    assert result.code == 0, result.err
    assert "by_place is in place" in result.out


@pytest.mark.usefixtures("ponies")
def test_a_proxy_has_the_fields_and_constraints_of_its_model(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pony._meta, "constraints", [UniqueConstraint(fields=["name"], name="one_name")])

    by_name = call("add_unique", ShowPony._meta.label, "--constraint", "one_name")
    by_key = call("add_unique", ShowPony._meta.label, "--key", "name")
    planned = call("dedupe", ShowPony._meta.label, "--constraint", "one_name")

    assert by_name.code == by_key.code == planned.code == 0, by_name.err + by_key.err + planned.err
    assert "one_name is in place" in by_name.out + by_key.out


@pytest.mark.usefixtures("ponies")
def test_a_table_that_is_not_there_is_said_to_be_missing(call: Call) -> None:
    with connection.schema_editor() as editor:
        editor.delete_model(Unicorn)

    result = call("add_unique", "ponies.Unicorn", "--key", "sparkle")

    assert result.code == 2
    assert "Database 'default' has no table 'ponies_unicorn' (ponies.Unicorn)" in result.err


@pytest.fixture
def forgotten_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test register rules that are forgotten afterwards."""
    monkeypatch.setattr(registry, "_RULES", dict(registry._RULES))


@pytest.mark.usefixtures("ponies", "forgotten_rules")
def test_a_rule_that_names_its_constraint_is_the_one_for_it(call: Call) -> None:
    unconstrained(Ribbon)
    register(DedupeRule(model="ponies.Ribbon", constraint="one_ribbon_per_show", keep=(Latest("place"),)))
    pony, show = Pony.objects.create(name="a"), Show.objects.create(name="a")
    Ribbon.objects.bulk_create(Ribbon(pony=pony, show=show, place=place) for place in (1, 2))

    result = call("add_unique", "ponies.Ribbon", "--constraint", "one_ribbon_per_show")

    assert result.code == 0, result.err
    assert [ribbon.place for ribbon in Ribbon.objects.all()] == [2]


@pytest.mark.usefixtures("ponies", "forgotten_rules")
def test_a_rule_brings_the_constraint_of_a_model_that_is_somebody_elses(call: Call) -> None:
    register(DedupeRule(model="ponies.Pony", constraint=UniqueConstraint(Lower("name"), name="one_pony")))
    Pony.objects.bulk_create(Pony(name=name) for name in ("Misty", "MISTY"))
    asked = ("add_unique", "ponies.Pony", "--constraint", "one_pony")

    result = call(*asked)

    assert (result.code, result.out) == (0, "ponies_pony: one_pony is in place.\n"), result.err
    assert [pony.name for pony in Pony.objects.all()] == ["Misty"]
    assert "was there already" in call(*asked).err


@pytest.mark.usefixtures("postgres_ponies", "forgotten_rules")
def test_duplicates_that_a_merge_would_make_are_for_before_the_constraint(call: Call) -> None:
    register(DedupeRule(model="ponies.Pony", fields=("sire", "name"), name="siblings"))
    Pony.all_objects.bulk_create(
        Pony(pk=pk, name=name, sire_id=sire)
        for pk, name, sire in ((9, "Misty", None), (1, "Dusty", 9), (2, "Dusty", 9), (3, "Rusty", 1), (4, "Rusty", 2))
    )
    asked = ("add_unique", "ponies.Pony", "--key", "sire,name")

    refused = call(*asked)
    merged = [call("dedupe", "siblings", "--apply", "--no-input").code for _ in range(2)]

    assert refused.code == 2
    assert "goes before it is added: by `manage.py dedupe` with the same rule, as often as it leaves any" in refused.err
    assert merged == [1, 0]
    assert call(*asked).code == 0


@pytest.mark.usefixtures("ponies", "forgotten_rules")
@pytest.mark.parametrize("options", [{"constraint": "one_contact_per_address"}, {"fields": ("address",)}])
def test_a_rule_of_another_key_removes_nothing(call: Call, options: dict[str, Any]) -> None:
    unconstrained(Contact)
    register(DedupeRule(model="ponies.Contact", **options))
    upper = UniqueConstraint(Upper("address"), name="one_contact_in_capitals")
    Contact.objects.bulk_create(Contact(address=address) for address in ("a", "A"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Contact._meta, "constraints", [*Contact._meta.constraints, upper])
        result = call("add_unique", "ponies.Contact", "--constraint", "one_contact_in_capitals")

    assert result.code == 2
    assert "1 duplicate group" in result.err
    assert Contact.objects.count() == 2


@pytest.mark.usefixtures("ponies")
def test_a_field_of_the_parents_table_is_no_key_of_the_childs(call: Call) -> None:
    for tag in ("a", "b"):
        Unicorn.objects.create(tag=tag, sparkle=1)

    result = call("add_unique", "ponies.Unicorn", "--key", "tag")

    assert result.code == 2
    assert "Choose from: animal_ptr, sparkle" in result.err


@pytest.mark.usefixtures("ponies")
@pytest.mark.parametrize("key", [(("tag",), ()), ((), (Lower("tag"),))])
def test_a_column_that_the_table_lacks_is_not_indexed(
    call: Call, key: tuple[tuple[str, ...], tuple[Lower, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fields, expressions = key
    constraint = UniqueConstraint(*expressions, fields=fields, name="one_tag")
    monkeypatch.setattr(Unicorn._meta, "constraints", [constraint])

    result = call("add_unique", "ponies.Unicorn", "--constraint", "one_tag")

    assert result.code == 2
    assert "'ponies_unicorn' of database 'default' lacks 'tag'" in result.err


def unconstrained(model: type[Model]) -> None:
    """Make the model's table again, without its constraints."""
    with pytest.MonkeyPatch.context() as patch, connection.schema_editor() as editor:
        patch.setattr(model._meta, "constraints", [])
        editor.delete_model(model)
        editor.create_model(model)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("integrity.Nothing", "--key", "a"), "no model"),
        (("Embedding", "--key", "a"), "app_label.Model"),
        (("integrity.Embedding", "--constraint", "none"), NAME),
        (("integrity.Embedding", "--key", "colour"), "Choose from"),
        (("integrity.Embedding", "--key", "invocation", "--database", "other"), "no database"),
        (("integrity.Embedding", "--key", ""), "no field ''"),
        (("integrity.Embedding", "--key", "invocation,invocation"), "Name each once"),
        (("integrity.Embedding", "--key", "invocation", "--name", 'a"b'), "Choose another one"),
        (("integrity.Embedding", "--key", "invocation,started_at", "--name", "run"), "'run' is taken"),
    ],
)
def test_bad_input_is_one_clear_line(database: Database, call: Call, arguments: tuple[str, ...], message: str) -> None:
    result = call("add_unique", *arguments)

    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err


@pytest.mark.usefixtures("postgres_ponies")
def test_a_type_that_has_no_unique_index_is_refused(call: Call) -> None:
    result = call("add_unique", "ponies.Scroll", "--key", "body")

    assert result.code == 2
    assert "data type json has no default operator class" in result.err


def test_a_name_that_postgresql_would_cut_is_refused(postgres_database: Database, call: Call) -> None:
    result = call("add_unique", "integrity.Embedding", "--key", "started_at", "--name", "é" * 32)

    assert result.code == 2
    assert "no more than 63 bytes" in result.err
    assert not [name for name in names() if name.startswith("é")]


def test_a_key_too_long_for_an_index_is_told_what_to_do(postgres_ponies: Database, call: Call) -> None:
    noise = "SELECT 1, string_agg(sha256(n::text::bytea)::text, '') FROM generate_series(1, 500) AS n"
    postgres_ponies.execute(f"INSERT INTO ponies_toy (id, name) {noise}")

    result = call("add_unique", "ponies.Toy", "--key", "name")

    assert result.code == 2
    assert "MD5" in result.err
    assert "again" not in result.err


def test_sqlite_needs_no_script(sqlite_database: Database, call: Call) -> None:
    result = call(*ASKED, "--sql")

    assert result.code == 2
    assert "CREATE UNIQUE INDEX" in result.err


def psql(database: Database, script: Path) -> subprocess.CompletedProcess[str]:
    """Run a script as its reader would."""
    program = find_binaries() / "psql"
    return subprocess.run(
        [program, "--no-psqlrc", "--dbname", database.url, "--file", script],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def clean(postgres_database: Database, databases: Any) -> Database:
    database: Database = databases.migrated("postgresql", "0001")
    return database


def test_the_sql_script_does_it_and_may_be_run_again(clean: Database, call: Call, tmp_path: Path) -> None:
    script = tmp_path / "script.sql"
    script.write_text(call(*ASKED, "--sql").out)

    for _ in range(2):
        result = psql(clean, script)
        assert result.returncode == 0, result.stderr

    assert [i.constraint for i in get_catalogue(using="default").indexes("embedding") if i.name == NAME] == [True]


def test_the_sql_script_stops_at_duplicates(clean: Database, call: Call, tmp_path: Path) -> None:
    make_dirty_data(using="default")
    script = tmp_path / "script.sql"
    script.write_text(call(*ASKED, "--sql").out)

    result = psql(clean, script)

    assert result.returncode != 0
    assert "duplicates stand in the way" in result.stderr
    assert NAME not in names()


def test_the_sql_script_replaces_a_broken_index(clean: Database, call: Call, tmp_path: Path) -> None:
    make_dirty_data(using="default")
    with clean.connect() as own:
        own.autocommit = True
        with pytest.raises(Exception, match="duplicated"):
            own.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {NAME} ON embedding (invocation_id, embedding_model)")
    clean.execute("TRUNCATE embedding CASCADE")
    script = tmp_path / "script.sql"
    script.write_text(call(*ASKED, "--sql").out)

    assert psql(clean, script).returncode == 0
    assert NAME in names()


def test_the_alembic_revision_does_it_and_may_be_run_again(clean: Database, call: Call) -> None:
    hurried = "IF current_setting('statement_timeout') <> '0' THEN RAISE 'a build takes as long as it takes'; END IF;"
    clean.execute(f"CREATE FUNCTION hurried() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN {hurried} END $$")
    clean.execute("CREATE EVENT TRIGGER t ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION hurried()")
    clean.execute(f"ALTER DATABASE \"{connection.settings_dict['NAME']}\" SET statement_timeout TO '20s'")
    alembic = pytest.importorskip("alembic", reason="Alembic is not installed")
    sqlalchemy = pytest.importorskip("sqlalchemy")
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

    del alembic
    revision: dict[str, Any] = {}
    exec(compile(call(*ASKED, "--alembic").out, "revision.py", "exec"), revision)  # noqa: S102 - what is under test
    url = "postgresql+psycopg://" + clean.url.removeprefix("postgresql://")
    with sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool).connect() as own:
        context = MigrationContext.configure(own)
        for _ in range(2):
            with context.begin_transaction(), Operations.context(context):
                revision["upgrade"]()
        assert NAME in names()
        with context.begin_transaction(), Operations.context(context):
            revision["downgrade"]()
        own.commit()

    connection.close()
    assert NAME not in names()
