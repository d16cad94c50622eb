"""The real sample and its twin: before the migration all that is wrong, after it the orphan alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from integrity.audits import Finding
from integrity.demo.data import make_dirty_data
from tests.audits.helpers import audit, ids
from tests.commands import CommandResult
from tests.conftest import BOTH, Databases
from tests.databases import Database
from tests.stories.test_embeddings import SAMPLE, load

ORPHAN = "067efbb106af739ea6e19932e6de313d"


@pytest.fixture(params=BOTH)
def sample(request: pytest.FixtureRequest, databases: Databases) -> Database:
    """The sample: on SQLite the owners' file without any table of ours, on PostgreSQL its rows."""
    if not SAMPLE.exists():
        pytest.skip(f"the sample database is not at {SAMPLE}")
    if request.param == "sqlite":
        database = databases.empty("sqlite")
        shutil.copyfile(SAMPLE, database.path)
        return database
    database = databases.migrated("postgresql", "0001")
    load(SAMPLE)
    return database


def of_embeddings(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """What was found about one table: the first migration makes tables of other systems, which lack constraints too."""
    return tuple(finding for finding in findings if finding.object.partition(".")[0] == "embedding")


def test_the_sample_before_and_after_the_migration(sample: Database, call: Callable[..., CommandResult]) -> None:
    before = audit()

    assert ids(of_embeddings(before)) == ["A001", "A010", "A020", "A030"]
    by_id = {finding.id: finding.details for finding in before}
    assert by_id["integrity.A001"] == {"rule": "embeddings", "groups": 25, "redundant": 25}
    assert by_id["integrity.A030"]["rows"] == 5

    assert call("migrate", "integrity").code == 0

    (orphan,) = (finding for finding in audit() if finding.id != "integrity.A060")
    assert (orphan.id, orphan.object, orphan.details["rows"]) == ("integrity.A020", "embedding.invocation_id", 1)
    assert str(orphan.details["example"]).replace("-", "") == ORPHAN


def test_the_twin_before_and_after_the_migration(
    database_at: Callable[[str], Database], call: Callable[..., CommandResult]
) -> None:
    database_at("0001")
    make_dirty_data(using="default")
    assert ids(of_embeddings(audit())) == ["A001", "A010", "A020", "A030"]

    assert call("migrate", "integrity").code == 0

    assert ids(audit()) == ["A020"]


def test_the_owners_file_is_not_changed_by_a_byte(databases: Databases) -> None:
    if not SAMPLE.exists():
        pytest.skip(f"the sample database is not at {SAMPLE}")
    database = databases.empty("sqlite")
    shutil.copyfile(SAMPLE, database.path)

    audit()

    assert database.path.read_bytes() == SAMPLE.read_bytes()
    assert [path.name for path in database.path.parent.glob(f"{database.path.name}*")] == [database.path.name]
