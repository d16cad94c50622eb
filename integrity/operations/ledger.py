"""What operations added to and took from one table, so that reversing gives back exactly that.

It is kept in the ``details`` of the register of mirrored tables. Of a table that is not in the register (a model of
somebody else's project) nothing is kept: there the migration owns whatever it names, as in Django.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.apps.registry import Apps

from integrity import conf
from integrity.operations.books import ABSENT


class Ledger:
    """The page of one table."""

    def __init__(self, *, table: str, apps: Apps, using: str) -> None:
        self._table, self._apps, self._using = table, apps, using

    @cached_property
    def _page(self) -> Any:
        try:
            pages: Any = self._apps.get_model("integrity", "MirroredTable")._base_manager.using(self._using)
        except LookupError:
            return None
        return pages.filter(table=self._table).first()

    @property
    def is_on(self) -> bool:
        """Whether the mirrored table is there and its system switched on."""
        page = self._page
        return page is not None and page.origin != ABSENT and (not page.system or page.system in conf.systems())

    def note_added(self, name: str) -> None:
        """Enter a constraint, index or column that is about to be added."""
        self._change("added", name, True)

    def forget_added(self, name: str) -> None:
        """Strike it out."""
        self._change("added", name, None)

    def was_added(self, name: str) -> bool:
        """Whether it is ours to remove."""
        return self._page is None or name in self._page.details.get("added", {})

    def note_taken(self, name: str, *, statement: str) -> None:
        """Enter something that is about to be dropped, with the statement that makes it again."""
        self._change("taken", name, statement)

    def forget_taken(self, name: str) -> None:
        """Strike it out."""
        self._change("taken", name, None)

    def taken(self, name: str) -> str | None:
        """The statement that makes it again, if it was dropped here."""
        return None if self._page is None else self._page.details.get("taken", {}).get(name)

    @property
    def keeps(self) -> bool:
        """Whether anything can be entered."""
        return self._page is not None

    def _change(self, kind: str, name: str, value: Any) -> None:
        if self._page is None:
            return
        entries = dict(self._page.details.get(kind, {}))
        if value is None:
            entries.pop(name, None)
        else:
            entries[name] = value
        self._page.details = {**self._page.details, kind: entries}
        self._page.save(using=self._using, update_fields=["details"])
