"""The story is told to its end, and search answers throughout."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from integrity.pipeline import demo
from tests.databases import Database
from tests.pipeline.library import DIMENSIONS, Library, fetch


def test_the_story_ends_well_and_search_never_stops_answering(
    library: Library, pgmq_database: Database, settings: Settings
) -> None:
    if fetch("SELECT to_regtype('vector')") == [(None,)]:
        pytest.skip("this server has no pgvector")
    settings.INTEGRITY_EMBEDDING_PROVIDER = {"name": "offline", "dimensions": DIMENSIONS}
    environment = {"EMBEDDING_DIMENSIONS": str(DIMENSIONS), "EMBEDDING_LEASE": "1"}
    said: list[str] = []

    answers = demo.run(
        report=said.append,
        start_worker=lambda: pgmq_database.popen("embedding_worker", "--until-empty", env=environment),
        using="default",
    )

    assert answers["answered"] > 0
    assert (answers["empty"], answers["mixed"], library.waiting(), library.letters()) == (0, 0, 0, [])
    assert "dead letters 0, files not served in their newest version 0" in said[-2]
