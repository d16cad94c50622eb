"""Where the removed rows and the changed values of a run go; made before its first batch."""

from __future__ import annotations

from dataclasses import dataclass

from django.apps.registry import Apps

from integrity.backends import RememberedCatalogue, get_catalogue
from integrity.dedupe.quarantine import FILLED, REPOINTED, changes_of, quarantine_of
from integrity.dedupe.stages import Stage


@dataclass(frozen=True, kw_only=True)
class SideTables:
    """The names of a run's side tables."""

    quarantine: dict[str, str]
    """By table."""
    changes: dict[tuple[str, str, str], str]
    """By table, column and kind: references that moved, or fields that were filled."""

    @classmethod
    def prepare(cls, root: Stage, stages: tuple[Stage, ...], *, apps: Apps, using: str) -> SideTables:
        """Make what is missing of them."""
        catalogue = RememberedCatalogue(get_catalogue(using=using))
        tables = {stage.table for stage in (root, *stages)}
        changing = {
            (s.table, c, FILLED if s.fills else REPOINTED) for s in stages for r in s.references for c in r.columns
        }
        return cls(
            quarantine={t: quarantine_of(t, apps=apps, using=using, catalogue=catalogue) for t in sorted(tables)},
            changes={
                (table, column, kind): changes_of(table, column, kind=kind, apps=apps, using=using, catalogue=catalogue)
                for table, column, kind in sorted(changing)
            },
        )
