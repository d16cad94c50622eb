"""Run a management command that comes to a sudden end at a chosen step; a program of its own.

    python -m tests.crashes.killed SIGNAL NTH HOW COMMAND [ARGUMENT ...]

SIGNAL is ``batch_step:<step>``, ``batch_done`` or ``run_state_changed:<state>``; at its NTH time the process is
ended by SIGKILL (HOW ``kill``), or its database session is terminated under it (HOW ``terminate``), and no other
is let in (HOW ``shut``).
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import django


def main(point: str, nth: int, how: str, *command: str) -> None:
    django.setup()
    from django.db import connection

    from integrity import signals
    from project.commandline import main as manage

    name, _, word = point.partition(":")
    seen = 0

    def end(**arguments: Any) -> None:
        nonlocal seen
        if word and word not in (arguments.get("step"), arguments.get("state")):
            return
        seen += 1
        if seen != nth:
            return
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        import psycopg

        connection.ensure_connection()
        raw = connection.connection
        with psycopg.connect(os.environ["DATABASE_URL"], dbname="postgres", autocommit=True) as other:
            if how == "shut":
                other.execute(f"ALTER DATABASE {raw.info.dbname} ALLOW_CONNECTIONS false")
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [raw.info.backend_pid])

    getattr(signals, name).connect(end, weak=False)
    sys.exit(manage(["manage.py", *command]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
