"""The engine ``project.embedded.backend``."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg
from django.db.backends.postgresql import base as postgresql
from django.db.utils import OperationalError
from psycopg import sql

from project.embedded.backend.client import DatabaseClient
from project.embedded.client import join
from project.embedded.errors import ServerUnavailable
from project.embedded.server import Address, Server

_known: set[tuple[str, int, str]] = set()


class DatabaseWrapper(postgresql.DatabaseWrapper):
    """Joins the server that the setting ``SERVER`` names, and makes the database that ``NAME`` names."""

    client_class = DatabaseClient

    def get_connection_params(self) -> dict[str, Any]:
        """Add to Django's parameters where the server is.

        Raises:
            OperationalError: there is no server.
        """
        params: dict[str, Any] = super().get_connection_params()
        try:
            address = join(self.settings_dict.get("SERVER", Server()))
        except ServerUnavailable as error:
            raise OperationalError(str(error)) from error
        params |= {"host": address.host, "port": address.port, "user": address.user}
        if params["dbname"] != "postgres":
            ensure_database(params["dbname"], address=address)
        return params


def ensure_database(name: str, *, address: Address) -> None:
    """Make the database ``name`` where it is missing.

    Raises:
        psycopg.Error: it cannot be made.
    """
    key = (address.host, address.pid, name)
    if key in _known:
        return
    with psycopg.connect(
        host=address.host, port=address.port, user=address.user, dbname="postgres", autocommit=True
    ) as connection:
        found = connection.execute("SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", [name]).fetchone()
        if not found:
            # Another command may be faster.
            with contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    _known.add(key)
