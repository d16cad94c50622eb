"""Where the server's files go, who may touch them, and what is left untouched."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from _pytest.mark import ParameterSet

from project.embedded.folders import LONGEST_SOCKET_PATH, SHARED_MEMORY
from tests.project.embedded.checkouts import Checkout, copied_checkout, fallback_folder, gone, processes_of, python_for
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another account")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes_up_to_root(folder: Path) -> dict[Path, tuple[int, int, int]]:
    return {path: (path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in (folder, *folder.parents)}


def greet(address: dict[str, str]) -> str:
    """Connect as the client's account would, and return who the database says it is."""
    with psycopg.connect(host=address["host"], user=address["user"], dbname="postgres") as connection:
        row = connection.execute("SELECT current_user").fetchone()
    assert row is not None
    return str(row[0])


def rarely(name: str) -> ParameterSet:
    return pytest.param(name, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "name",
    ["with a space", "x" * LONGEST_SOCKET_PATH, rarely("with, comma"), rarely('with "quotes"'), rarely("Ünïcode")],
)
def test_any_path_will_do(name: str) -> None:
    with copied_checkout(name) as checkout, checkout.client() as client:
        address = client.join()

        assert "error" not in address
        assert greet(address) == "integrity"


def test_nobody_else_can_reach_the_server(checkout: Checkout) -> None:
    with checkout.client() as client:
        address = client.join()
        host = Path(address["host"])

        assert mode(host) == 0o700
        assert mode(checkout.root / "keeper") == 0o600
        assert mode(checkout.root / "data") == 0o700
        assert mode(checkout.root / "log") == 0o600
        with psycopg.connect(host=address["host"], user=address["user"], dbname="postgres") as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_no_folder_that_was_there_before_changes_its_permissions(checkout: Checkout) -> None:
    before = modes_up_to_root(checkout.folder)

    with checkout.client() as client:
        assert "error" not in client.join()

    assert modes_up_to_root(checkout.folder) == before


@needs_root
def test_root_runs_the_server_as_an_unprivileged_account_in_the_checkout(checkout: Checkout) -> None:
    with checkout.client() as client:
        address = client.join()

        assert Path(f"/proc/{address['pid']}").stat().st_uid != 0
        assert Path(address["host"]).is_relative_to(checkout.folder)
        groups = [line for line in Path(f"/proc/{address['pid']}/status").read_text().splitlines() if "Groups:" in line]
        assert groups[0].split()[1:] == []


@needs_root
def test_a_checkout_that_the_account_cannot_reach_stays_closed() -> None:
    with copied_checkout(mode=0o700) as checkout:
        before = modes_up_to_root(checkout.folder)
        with checkout.client() as client:
            address = client.join()

            assert "error" not in address
            assert Path(address["host"]).is_relative_to(fallback_folder(checkout.folder))
            assert greet(address) == "integrity"

        assert modes_up_to_root(checkout.folder) == before


@needs_root
@pytest.mark.slow
def test_programs_that_the_account_cannot_reach_are_copied(
    tmp_path: Path, checkout: Checkout, closed_wheel: Callable[[Path], Path]
) -> None:
    binaries = closed_wheel(tmp_path)

    with checkout.client(binaries=str(binaries)) as client:
        address = client.join()

        assert "error" not in address
        assert Path(f"/proc/{address['pid']}/exe").readlink().is_relative_to(checkout.root)
    assert mode(binaries.parent.parent.parent) == 0o700


@needs_root
def test_an_ordinary_user_uses_the_checkout_after_root_did() -> None:
    account = "nobody"
    try:
        python = python_for(account)
    except LookupError as error:
        pytest.skip(str(error))
    with copied_checkout() as checkout:
        with checkout.client() as client:
            first = client.join()
        eventually(lambda: gone(first["pid"]))
        ordinary = Checkout(folder=checkout.folder, account=account, python=python)

        with ordinary.client() as client:
            second = client.join()

            assert "error" not in second
            assert Path(f"/proc/{second['pid']}").stat().st_uid == pwd.getpwnam(account).pw_uid
            assert not Path(second["host"]).is_relative_to(checkout.folder)
        eventually(lambda: gone(second["pid"]))


@needs_root
@pytest.mark.slow
def test_an_ordinary_user_has_the_data_in_a_checkout_of_his_own() -> None:
    try:
        with copied_checkout(account="nobody") as checkout, checkout.client() as client:
            address = client.join()

            assert "error" not in address
            assert Path(address["host"]).is_relative_to(checkout.folder)
            assert mode(checkout.root) == 0o700
    except LookupError as error:
        pytest.skip(str(error))


@needs_root
def test_a_folder_that_somebody_prepared_for_us_is_refused(checkout: Checkout) -> None:
    prepared = checkout.folder / ".postgres" / "root"
    prepared.mkdir(parents=True)
    os.chown(prepared, pwd.getpwnam("nobody").pw_uid, -1)

    with checkout.client() as client:
        address = client.join()

        assert not Path(address["host"]).is_relative_to(checkout.folder)
    eventually(lambda: not processes_of(checkout.folder))


needs_shared_memory = pytest.mark.skipif(not SHARED_MEMORY.is_mount(), reason="no shared memory is mounted here")


@needs_shared_memory
def test_data_that_need_not_last_may_be_in_memory_until_the_server_ends(checkout: Checkout) -> None:
    with checkout.client(memory=1) as client:
        address = client.join()
        data = Path(f"/proc/{address['pid']}/cwd").readlink()

        assert data.is_relative_to(SHARED_MEMORY)
        assert mode(data) == 0o700
        assert greet(address) == "integrity"
    eventually(lambda: not data.exists())


@needs_shared_memory
def test_data_is_on_disk_where_memory_is_scarce(checkout: Checkout) -> None:
    with checkout.client(memory=1 << 60) as client:
        address = client.join()

        assert Path(f"/proc/{address['pid']}/cwd").readlink() == checkout.root / "data"


def test_data_is_not_hidden_when_its_folder_is_opened_to_others(checkout: Checkout) -> None:
    with checkout.client(durable=True) as client:
        address = client.join()
    eventually(lambda: gone(address["pid"]))
    checkout.root.chmod(0o777)

    with checkout.client(durable=True) as client:
        assert "chmod go-w" in client.join()["error"]

    assert mode(checkout.root) == 0o777


@needs_root
@pytest.mark.slow
def test_data_is_not_hidden_when_the_way_to_it_is_closed(checkout: Checkout) -> None:
    with checkout.client(durable=True) as client:
        address = client.join()
    eventually(lambda: gone(address["pid"]))
    checkout.folder.chmod(0o700)

    with checkout.client(durable=True) as client:
        assert "there is data" in client.join()["error"]
