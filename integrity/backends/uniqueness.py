"""What it means to bring uniqueness to a table that is in use, whichever database holds it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from django.db import models

from integrity.exceptions import IntegrityAppError


class NotUnique(IntegrityAppError):
    """The database cannot be brought to hold the constraint as the model has it."""


class Say(Protocol):
    """Takes notice of one line for a person to read."""

    def __call__(self, line: str, /) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A constraint of a model, and what to do about rows that break it."""

    model: type[models.Model]
    constraint: models.UniqueConstraint
    remove: Callable[[], None]
    """Removes the rows that are there, or raises; called once nobody can add new ones."""
    begin: Callable[[], None]
    """Called when something will be added, before the first change."""

    @property
    def table(self) -> str:
        return self.model._meta.db_table

    @property
    def name(self) -> str:
        return self.constraint.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What enforces the constraint now; ``accepted`` tells that it was there before."""

    name: str
    accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The statements of an addition, complete, each of which may be run again."""

    name: str
    table: str
    no_duplicates: str
    """Fails where there are duplicates."""
    leftover: str
    """A query whose answer is the statement that drops a broken index, if there is one."""
    build: str
    attach: str
    check: str
    """Fails where what is there now is not what was wanted."""
    drop: str


class Unique(Protocol):
    """Adds and removes one constraint of one table while others read and write it."""

    def add(self, wanted: Wanted, *, say: Say) -> Outcome | None:
        """Bring the constraint about; None where this database has no such constraint, as in Django.

        Raises:
            NotUnique: something else has its name, or what came about is not what the model says.
        """
        ...

    def remove(self, *, model: type[models.Model], constraint: models.UniqueConstraint, say: Say) -> None:
        """Drop what has the constraint's name, if anything has, and the leftovers of an addition cut short."""
        ...

    def together(self) -> AbstractContextManager[None]:
        """Make one transaction of what follows where the database has one writer only; elsewhere nothing."""
        ...

    def review(self, *, model: type[models.Model], constraint: models.UniqueConstraint) -> Review:
        """Return the statements of an addition for other tools to run.

        Raises:
            NotUnique: this database, or this table, needs more than a script.
        """
        ...

    def script(self, *, model: type[models.Model], constraint: models.UniqueConstraint) -> tuple[str, ...]:
        """Return the statements of an addition, for people to read."""
        ...
