"""The audits that are known, in the shape of Django's check framework."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from integrity.audits.context import AuditContext
from integrity.audits.finding import Finding
from integrity.exceptions import IntegrityAppError

AuditFunction = Callable[[AuditContext], Iterator[Finding]]


class UnknownTag(IntegrityAppError):
    """No audit has that tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One registered audit: its tag, the ids of all findings that it can report, and its question in words."""

    tag: str
    ids: tuple[str, ...]
    question: str
    function: AuditFunction


_AUDITS: dict[str, Audit] = {}


def register(tag: str, *ids: str) -> Callable[[AuditFunction], AuditFunction]:
    """Make a function an audit. Its docstring is the question that ``audit --list`` shows.

    A second audit under a tag replaces the first.
    """

    def add(function: AuditFunction) -> AuditFunction:
        question = (function.__doc__ or "").strip().splitlines()[0]
        _AUDITS[tag] = Audit(tag=tag, ids=ids, question=question, function=function)
        return function

    return add


def registered_audits(*, tags: Sequence[str] = ()) -> tuple[Audit, ...]:
    """Return the audits with these tags, or all of them, in the order of their registration.

    Raises:
        UnknownTag: there is none with one of the tags.
    """
    unknown = [tag for tag in tags if tag not in _AUDITS]
    if unknown:
        raise UnknownTag(
            f"There is no audit with the tag {', '.join(map(repr, unknown))}. Known: {', '.join(_AUDITS)}."
        )
    return tuple(audit for audit in _AUDITS.values() if not tags or audit.tag in tags)
