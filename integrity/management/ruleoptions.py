"""A rule on a command line: the options that say what is unique, which row stays and what becomes of the rest."""

from __future__ import annotations

from typing import Any, Final

from django.core.management.base import CommandParser

from integrity.dedupe.rule import CONFLICTS, NULLS
from integrity.management.values import names, pair
from integrity.rules.wording import Wording

WORDS: Final = (
    "target",
    "key",
    "constraint",
    "nulls",
    "clock",
    "order_by",
    "conflict",
    "ignore",
    "merge",
    "reference",
)
"""What says which rule it is; a stored plan knows."""


def add_rule_options(parser: CommandParser) -> None:
    """Add what can be said about the rule, beside its name or model."""
    group = parser.add_argument_group("what is unique in app.Model, and what becomes of the rest")
    key = group.add_mutually_exclusive_group()
    key.add_argument("--key", nargs="+", default=[], metavar="FIELD", help="The fields of the key; or FIELD,FIELD.")
    key.add_argument("--constraint", default="", metavar="NAME", help="A UniqueConstraint of the model.")
    group.add_argument("--nulls", choices=NULLS, default="", help="With --key: what NULLs are. Default: distinct.")
    group.add_argument(
        "--order-by", type=names, default=(), metavar="FIELD,-FIELD", help="The first row in this order survives."
    )
    group.add_argument("--clock", default="", metavar="FIELD", help="The age of a row, for --keep and --merge.")
    group.add_argument("--conflict", choices=CONFLICTS, default="", help="What to do where rows differ.")
    group.add_argument(
        "--ignore", type=names, default=(), metavar="FIELD,FIELD", help="Where identical rows may differ."
    )
    group.add_argument(
        "--merge", type=pair, action="append", default=[], metavar="FIELD=HOW", help="Fill a field of the survivor."
    )
    group.add_argument(
        "--reference",
        type=pair,
        action="append",
        default=[],
        metavar="TABLE.COLUMN=POLICY",
        help="May be repeated.",
    )


def wording_of(options: dict[str, Any]) -> Wording:
    """Return what was said, with ``--keep`` of all dedupe commands."""
    target, has_key = options["target"], bool(options["key"] or options["constraint"])
    return Wording(
        rule="" if has_key else target,
        model=target if has_key else "",
        key=tuple(name for part in options["key"] for name in part.split(",")),
        constraint=options["constraint"],
        nulls=options["nulls"],
        clock=options["clock"],
        keep=options["keep"] or "",
        order_by=options["order_by"],
        conflict=options["conflict"],
        ignore=options["ignore"],
        merge=dict(options["merge"]),
        references=dict(options["reference"]),
    )
