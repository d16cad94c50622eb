"""Dirty databases for the commands."""

from tests.dedupe.conftest import dirty as dirty
