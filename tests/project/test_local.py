"""What a checkout keeps for each account."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from project import local
from project.local import NoPrivateFolder, OpenToOthers, make_private, secret_key


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the secret key goes in this test."""
    monkeypatch.setattr(local, "account_folders", lambda inside: iter([tmp_path / inside]))
    return tmp_path / ".local"


def test_the_secret_key_stays_the_same_and_private(own_folder: Path) -> None:
    key = secret_key()

    assert len(key) >= 50
    assert secret_key() == key
    assert stat.S_IMODE((own_folder / "secret_key").stat().st_mode) == 0o600
    assert stat.S_IMODE(own_folder.stat().st_mode) == 0o700
    assert [path.name for path in own_folder.iterdir()] == ["secret_key"]


def test_a_private_folder_ignores_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o777)
    try:
        folder = make_private(tmp_path / "made", mode=0o711)
    finally:
        os.umask(before)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o711


def test_a_link_is_no_private_folder(tmp_path: Path) -> None:
    tmp_path.joinpath("link").symlink_to(tmp_path)

    with pytest.raises(NoPrivateFolder, match="is not a folder"):
        make_private(tmp_path / "link")


def test_a_folder_open_to_others_is_refused_and_stays_open(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)

    with pytest.raises(OpenToOthers, match="chmod go-w"):
        make_private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777


def test_when_no_place_will_do_the_message_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.joinpath("file").touch()
    monkeypatch.setattr(local, "account_folders", lambda inside: iter([tmp_path / "file" / inside]))

    with pytest.raises(NoPrivateFolder, match="File exists"):
        secret_key()
