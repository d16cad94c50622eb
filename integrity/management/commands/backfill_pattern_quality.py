"""Store the quality scores of a file or a Qdrant collection."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import CommandParser

from integrity.dedupe import Progress
from integrity.management.base import CLEAN, FOUND, IntegrityCommand
from integrity.management.values import positive
from integrity.writes.backfill import BackfillReport, backfill_quality
from integrity.writes.sources import Record, SourceUnreadable, read_csv, read_jsonl, read_qdrant

OUTCOMES = ("inserted", "updated", "unchanged", "stale", "folded", "skipped", "failed")


class Command(IntegrityCommand):
    """Reads entries, stores their scores, says what became of them. Exit code 1 when any entry failed."""

    help = "Store quality scores of patterns; run again, it changes nothing."
    has_format = True

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the sources and what is taken from them."""
        super().add_arguments(parser)
        sources = parser.add_mutually_exclusive_group(required=True)
        sources.add_argument("--from-jsonl", metavar="FILE", help='An object with scores on each line; "-" is stdin.')
        sources.add_argument("--from-csv", metavar="FILE", help='A row of scores below a header; "-" is stdin.')
        sources.add_argument("--from-qdrant", metavar="URL|PATH", help="Scores in the payloads of a collection.")
        parser.add_argument("--collection", metavar="NAME", help="The collection, of Qdrant or that the ids belong to.")
        parser.add_argument("--legacy-ids", action="store_true", help="Make ids as before: without the collection.")
        parser.add_argument("--limit", type=positive, metavar="N", help="Read so many entries at most.")
        parser.add_argument(
            "--min-confidence", type=_share, default=0.0, metavar="X", help="Skip entries below it. Default: 0."
        )
        parser.add_argument("--dry-run", action="store_true", help="Do it, say what came of it, and roll it back.")

    def run(self, **options: Any) -> int:
        """Read, store, print."""
        with _records(options) as records, self.progress() as show:
            report = backfill_quality(
                records=records,
                collection=options["collection"],
                legacy_ids=options["legacy_ids"],
                limit=options["limit"],
                min_confidence=options["min_confidence"],
                dry_run=options["dry_run"],
                progress=lambda done: show(Progress(step="scores", done=done, total=options["limit"] or 0)),
                using=options["database"],
            )
        self._print(report, **options)
        return FOUND if report.failures else CLEAN

    def _print(self, report: BackfillReport, **options: Any) -> None:
        counts = {name: report.counts.get(name, 0) for name in OUTCOMES}
        if options["format"] == "json":
            failures = [vars(failure) for failure in report.failures]
            self.print_json({"dry_run": options["dry_run"], **counts, "failures": failures})
            return
        for failure in report.failures:
            self.stderr.write(f"{failure.place}: {failure.why}")
        shown = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing to do"
        self.stdout.write(f"{'Would be' if options['dry_run'] else 'Done'}: {shown}.")


@contextmanager
def _records(options: dict[str, Any]) -> Iterator[Iterator[Record]]:
    if options["from_qdrant"]:
        if not options["collection"]:
            raise SourceUnreadable("--from-qdrant needs --collection NAME.")
        yield read_qdrant(location=options["from_qdrant"], collection=options["collection"])
        return
    read, name = (read_jsonl, options["from_jsonl"]) if options["from_jsonl"] else (read_csv, options["from_csv"])
    with _opened(name) as stream:
        yield read(stream)


@contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    if name == "-":
        yield sys.stdin
        return
    try:
        with Path(name).open(encoding="utf-8", newline="") as stream:
            yield stream
    except OSError as error:
        raise SourceUnreadable(f"{name}: {error.strerror}. Check the path.") from error


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError("give a number from 0 to 1")
    return number
