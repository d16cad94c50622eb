"""What is said when there can be no server."""

from __future__ import annotations

from pathlib import Path

import pytest

from project.embedded import binaries
from project.embedded.errors import ServerUnavailable
from tests.project.embedded.checkouts import Checkout, gone, processes_of
from tests.waiting import eventually

pytestmark = pytest.mark.postgres


def test_data_of_another_version_is_not_touched(checkout: Checkout) -> None:
    with checkout.client(durable=True) as client:
        address = client.join()
    eventually(lambda: gone(address["pid"]))
    version = checkout.root / "data" / "PG_VERSION"
    version.write_text("12\n")

    with checkout.client(durable=True) as client:
        answer = client.join()

    assert "made by PostgreSQL 12" in answer["error"]
    assert version.read_text() == "12\n"
    eventually(lambda: not processes_of(checkout.folder))


def test_a_failing_initdb_is_quoted(checkout: Checkout) -> None:
    programs = checkout.folder / "programs"
    programs.mkdir()
    write_program(programs / "initdb", "echo no space left on device >&2; exit 1")
    write_program(programs / "postgres", "echo postgres '(PostgreSQL)' 18.6")

    with checkout.client(binaries=str(programs)) as client:
        answer = client.join()

    assert "no space left on device" in answer["error"]
    assert not checkout.root.joinpath("data").exists()


@pytest.mark.slow
def test_a_failing_server_is_quoted(checkout: Checkout) -> None:
    with checkout.client(durable=True) as client:
        address = client.join()
    eventually(lambda: gone(address["pid"]))
    checkout.root.joinpath("data", "postgresql.conf").write_text("nonsense = on\n")

    with checkout.client(durable=True) as client:
        answer = client.join()

    assert 'unrecognized configuration parameter "nonsense"' in answer["error"]


@pytest.mark.slow
def test_a_refusal_is_not_final(checkout: Checkout) -> None:
    with checkout.client(durable=True) as client:
        address = client.join()
    eventually(lambda: gone(address["pid"]))
    settings = checkout.root / "data" / "postgresql.conf"
    before = settings.read_text()
    settings.write_text("nonsense = on\n")
    with checkout.client(durable=True) as client:
        assert "error" in client.join()

        settings.write_text(before)

        assert "error" not in client.join()


def test_without_any_server_programs_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_candidates", lambda: iter([Path("/nowhere")]))

    with pytest.raises(ServerUnavailable, match="Set DATABASE_URL"):
        binaries.find_binaries()


def write_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
