"""The server lives exactly as long as somebody uses it, however its users and its keeper end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.embedded.checkouts import Checkout, gone, keeper_of, kill, processes_of
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


def test_two_commands_share_one_server_which_ends_after_the_last(checkout: Checkout) -> None:
    with checkout.client() as second:
        with checkout.client() as first:
            address = first.join()
            assert second.join() == address

        assert not gone(address["pid"])
        assert second.join() == address

    eventually(lambda: gone(address["pid"]))
    eventually(lambda: not processes_of(checkout.folder))


def test_the_server_ends_when_its_last_user_is_killed(checkout: Checkout) -> None:
    client = checkout.client()
    address = client.join()

    client.kill()

    eventually(lambda: gone(address["pid"]))


def test_the_server_ends_when_its_user_is_killed_while_it_starts(checkout: Checkout) -> None:
    client = checkout.client()
    client.ask()
    eventually(lambda: checkout.root.joinpath("lock").exists())

    client.kill()

    eventually(lambda: not processes_of(checkout.folder))


def test_the_server_ends_when_its_keeper_is_killed_and_its_user_gets_a_new_one(checkout: Checkout) -> None:
    with checkout.client(durable=True) as client:
        address = client.join()

        kill(keeper_of(address["pid"]))

        eventually(lambda: gone(address["pid"]))
        assert client.join()["pid"] != address["pid"]


def test_a_killed_server_is_replaced(checkout: Checkout) -> None:
    with checkout.client(durable=True) as client:
        address = client.join()
        keeper = keeper_of(address["pid"])

        kill(address["pid"])

        eventually(lambda: gone(keeper))
        assert client.join()["pid"] != address["pid"]


@pytest.mark.slow
def test_keeper_and_server_killed_together_leave_nothing_that_disturbs(checkout: Checkout) -> None:
    with checkout.client(durable=True) as client:
        address = client.join()
        keeper = keeper_of(address["pid"])

        kill(keeper)
        kill(address["pid"])

        assert "error" not in client.join()


def test_four_commands_that_start_at_once_share_one_server(checkout: Checkout) -> None:
    clients = [checkout.client() for _ in range(4)]

    for client in clients:
        client.ask()
    answers = [client.answer() for client in clients]

    assert "error" not in answers[0]
    assert answers == answers[:1] * 4


@pytest.mark.slow
def test_a_command_that_comes_while_the_server_stops_gets_the_next_one(checkout: Checkout) -> None:
    pids = set()
    for _ in range(5):
        with checkout.client(linger=0, durable=True) as client:
            answer = client.join()
            assert "error" not in answer
            pids.add(answer["pid"])

    assert len(pids) >= 1


def test_a_process_that_has_the_pid_of_an_old_server_is_left_alone(checkout: Checkout) -> None:
    with checkout.client(durable=True) as client:
        address = client.join()
    eventually(lambda: gone(address["pid"]))
    eventually(lambda: not processes_of(checkout.folder))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as innocent:
        claim = "\n".join([str(innocent.pid), str(checkout.root / "data"), "0", "5432", "", "", "", ""])
        checkout.root.joinpath("data", "postmaster.pid").write_text(claim)
        checkout.root.joinpath("host", ".s.PGSQL.5432.lock").write_text(claim)

        with checkout.client(durable=True) as client:
            assert "error" not in client.join()

        assert innocent.poll() is None


@pytest.mark.slow
def test_a_half_made_data_folder_is_made_anew(checkout: Checkout) -> None:
    with checkout.client(durable=True) as client:
        address = client.join()
    eventually(lambda: gone(address["pid"]))
    eventually(lambda: not processes_of(checkout.folder))
    checkout.root.joinpath("data").rename(checkout.root / "unfinished-1")

    with checkout.client(durable=True) as client:
        assert "error" not in client.join()

    assert not checkout.root.joinpath("unfinished-1").exists()


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8])
def test_a_keeper_killed_at_any_moment_of_its_start_does_no_harm(checkout: Checkout, delay: float) -> None:
    with checkout.client(durable=True) as client:
        client.ask()
        eventually(lambda: processes_of(checkout.folder))
        with subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({delay})"]):
            pass
        for pid in processes_of(checkout.folder):
            if b"keeper" in _command(pid):
                kill(pid)

        assert "error" not in client.answer()
    eventually(lambda: not processes_of(checkout.folder))


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
