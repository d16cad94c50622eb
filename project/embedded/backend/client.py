"""``manage.py dbshell`` on the embedded server."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.backends.postgresql import client as postgresql

from project.embedded.binaries import find_binaries


class DatabaseClient(postgresql.DatabaseClient):
    """Runs the ``psql`` that came with the server, connected to it."""

    def runshell(self, parameters: Iterable[str]) -> None:
        params = self.connection.get_connection_params()
        self.connection.settings_dict |= {"HOST": params["host"], "PORT": params["port"], "USER": params["user"]}
        psql = find_binaries() / "psql"
        if psql.exists():
            self.executable_name = str(psql)
        super().runshell(list(parameters))
