"""Settings that are numbers: refused where they are none, or out of their range."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from math import inf, nan

import pytest
from pytest_django import Settings

from integrity import conf
from integrity.checks import check_numbers
from integrity.conf import InvalidSetting
from integrity.pipeline import job_queue
from integrity.queue import install
from tests.commands import CommandResult
from tests.databases import Database


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INTEGRITY_LOCK_TIMEOUT", 0),  # for PostgreSQL: wait for ever
        ("INTEGRITY_LOCK_TIMEOUT", 0.0001),
        ("INTEGRITY_LOCK_TIMEOUT", -1),
        ("INTEGRITY_LOCK_TIMEOUT", "abc"),
        ("INTEGRITY_LOCK_TIMEOUT", None),
        ("INTEGRITY_PLAN_EXPIRY", "x"),
        ("INTEGRITY_PLAN_EXPIRY", 10**12),
        ("INTEGRITY_BATCH_SIZE", 0),
        ("INTEGRITY_EMBEDDING_LEASE", 0),
        ("INTEGRITY_EMBEDDING_ATTEMPTS", 0),
        ("INTEGRITY_CHUNK_RETENTION", inf),
        ("INTEGRITY_CHUNK_RETENTION", nan),
        ("INTEGRITY_ARCHIVE_RETENTION", 10_000_000),
    ],
)
def test_what_is_no_number_of_its_range_is_refused_and_found_by_check(
    settings: Settings, name: str, value: object
) -> None:
    setattr(settings, name, value)

    (found,) = check_numbers()

    assert (found.id, found.msg.startswith(f"{name} is {value!r}. Give a number from")) == ("integrity.E003", True)


def test_the_ends_of_a_range_belong_to_it(settings: Settings) -> None:
    settings.INTEGRITY_LOCK_TIMEOUT = "0.001"
    settings.INTEGRITY_CHUNK_RETENTION = 0

    assert (conf.lock_timeout(), conf.chunk_retention()) == (timedelta(milliseconds=1), timedelta(0))


def test_the_defaults_are_in_their_ranges() -> None:
    assert check_numbers() == []


def test_reading_one_that_cannot_be_used_stops_whoever_reads_it(settings: Settings) -> None:
    settings.INTEGRITY_LOCK_TIMEOUT = 0

    with pytest.raises(InvalidSetting, match=r"INTEGRITY_LOCK_TIMEOUT is 0\. Give a number from 0\.001"):
        conf.lock_timeout()


def test_a_command_says_so_in_one_line(
    postgres_database: Database, settings: Settings, call: Callable[..., CommandResult]
) -> None:
    install(using="default")
    job_queue().create()
    settings.INTEGRITY_CHUNK_RETENTION = inf

    for arguments in ("embedding_queue retention", "embedding_worker --until-empty"):
        result = call(*arguments.split())

        assert (result.code, len(result.err.splitlines())) == (2, 1)
        assert "INTEGRITY_CHUNK_RETENTION is inf" in result.err
