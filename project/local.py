"""What this checkout keeps for one account of the machine: the secret key and the site's own database.

Root and an ordinary user may use the same checkout in turn, so each has a folder that is its own:
``.local/<account>`` in the checkout where that can be made, else one in the home, else one for long-lived
temporary files.
"""

from __future__ import annotations

import getpass
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


class NoPrivateFolder(Exception):
    """No folder could be made that belongs to this account alone."""


class OpenToOthers(Exception):
    """A folder of ours has been opened to others' writing. Another place would hide what is in this one."""


def account_name() -> str:
    """Return the name of the account that runs this process, or its number where it has no name."""
    try:
        import pwd

        return pwd.getpwuid(os.geteuid()).pw_name
    except (ImportError, KeyError):
        return getpass.getuser() if os.name == "nt" else str(os.geteuid())


def account_folders(*, inside: str) -> Iterator[Path]:
    """Yield the places for this account's files of the checkout, best first; ``inside`` names the first."""
    yield CHECKOUT / inside / account_name()
    digest = sha256(os.fsencode(CHECKOUT)).hexdigest()[:12]
    yield Path.home() / ".local" / "share" / "integrity" / digest / inside.lstrip(".")
    name = f"integrity-{account_name()}-{digest}-{inside.lstrip('.')}"
    yield Path("/var/tmp") / name  # noqa: S108 - owner and mode are verified
    yield Path(tempfile.gettempdir()) / name


def make_private(folder: Path, *, mode: int = 0o700) -> Path:
    """Make ``folder`` with ``mode``, or verify that the one there is ours; never change one that we did not make.

    Raises:
        NoPrivateFolder: it cannot be made, or is a link or somebody else's; another place may do.
        OpenToOthers: it is ours, and others may write there.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=mode)
            folder.chmod(mode)  # the umask may have taken something away
        except FileExistsError:
            pass
        found = folder.lstat()
    except OSError as error:
        raise NoPrivateFolder(f"{folder}: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise NoPrivateFolder(f"{folder} is not a folder")
    if os.name == "posix" and found.st_uid != os.geteuid():
        raise NoPrivateFolder(f"{folder} belongs to somebody else")
    if os.name == "posix" and found.st_mode & 0o022:
        raise OpenToOthers(f"Others may write into {folder}. Close it: chmod go-w '{folder}'")
    return folder


def private_folder() -> Path:
    """Return this account's own folder, made where it was missing.

    Raises:
        NoPrivateFolder: none of the places will do; the message says why for each.
        OpenToOthers: the folder is there, and others may write into it.
    """
    reasons = []
    for folder in account_folders(inside=".local"):
        try:
            return make_private(folder)
        except NoPrivateFolder as error:
            reasons.append(str(error))
    raise NoPrivateFolder("No folder of our own could be made: " + "; ".join(reasons))


def secret_key() -> str:
    """Return the secret key of this checkout and account, made at the first call, readable by its owner only.

    Raises:
        NoPrivateFolder: there is no place to keep it.
        OpenToOthers: others may write into that place.
    """
    path = private_folder() / "secret_key"
    if not path.exists():
        # Written whole under another name first: of two commands that start together, one key must win.
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(50))
        try:
            os.link(name, path)
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()
    return path.read_text()
