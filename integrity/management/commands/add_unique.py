"""``manage.py add_unique``: a unique constraint for a table in use, without a migration."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import CommandParser
from django.db import models

from integrity import conf
from integrity.backends.unique import get_unique
from integrity.management.base import CLEAN, IntegrityCommand, failure
from integrity.operations.online import add_unique_online
from integrity.operations.scripts import alembic_script, sql_script
from integrity.rules import constraints_of, rule_for

_LONGEST_NAME = 63  # PostgreSQL's limit for identifiers, in bytes


class Command(IntegrityCommand):
    help = (
        "Add a unique constraint to a table that others go on writing to: guard, remove duplicates by its rule, "
        "build concurrently, attach, verify. With --sql or --alembic print a script to review instead."
    )
    if_interrupted = "Run the same command again: it takes up what it finds."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("model", metavar="APP.MODEL", help="The model whose table it is.")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--constraint", metavar="NAME", help="A UniqueConstraint of the model, or of a rule for it.")
        what.add_argument("--key", metavar="FIELD,FIELD", help="The fields, where the model has no such constraint.")
        parser.add_argument("--name", default="", help="With --key: what to call it. Default: unique_TABLE_COLUMNS.")
        parser.add_argument(
            "--refuse", action="store_true", help="Stop at duplicates, even where a rule says which row stays."
        )
        output = parser.add_mutually_exclusive_group()
        output.add_argument("--sql", action="store_true", help="Print a script for psql, and change nothing.")
        output.add_argument("--alembic", action="store_true", help="Print an Alembic revision, and change nothing.")

    def run(self, **options: Any) -> int:
        model, using = _model(options["model"]), options["database"]
        constraint = _constraint(model, options)
        if options["sql"] or options["alembic"]:
            review = get_unique(using=using).review(model=model, constraint=constraint)
            script = alembic_script if options["alembic"] else sql_script
            milliseconds = round(conf.lock_timeout().total_seconds() * 1000)
            self.stdout.write(script(review, lock_timeout=f"{milliseconds}ms"))
            return CLEAN
        rule = None if options["refuse"] else rule_for(model=model, constraint=constraint)
        outcome = add_unique_online(
            model=model, constraint=constraint, rule=rule, apps=apps, using=using, say=self._say
        )
        if outcome is not None:
            self.stdout.write(f"{model._meta.db_table}: {outcome.name} is in place.")
        return CLEAN

    def _say(self, line: str, /) -> None:
        if self.options["verbosity"] > 0:
            self.stderr.write(line)


def _model(label: str) -> type[models.Model]:
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError) as error:
        raise failure(f"There is no model {label!r} ({error}). Write it as app_label.Model.") from None
    return model._meta.concrete_model or model  # a proxy's fields and constraints are those of the model behind it


def _constraint(model: type[models.Model], options: dict[str, Any]) -> models.UniqueConstraint:
    if options["key"] is not None:
        return _made(model, options["key"].split(","), options["name"])
    known = constraints_of(model)
    if options["constraint"] not in known:
        raise failure(
            f"{model._meta.label} has no UniqueConstraint {options['constraint']!r} "
            f"(it has: {', '.join(known) or 'none'}). Name one of them, give --key, or register a rule that brings it."
        )
    return known[options["constraint"]]


def _made(model: type[models.Model], names: list[str], name: str) -> models.UniqueConstraint:
    fields = {field.name: field for field in model._meta.local_concrete_fields}
    unknown = [field for field in names if field not in fields]
    if unknown:
        raise failure(
            f"{model._meta.label} has no field {', '.join(map(repr, unknown))}. Choose from: {', '.join(fields)}."
        )
    if len(set(names)) < len(names):
        raise failure(f"The key {', '.join(names)} names a field twice. Name each once.")
    if '"' in name:
        raise failure(f"The name {name!r} has a quote in it, which Django does not escape. Choose another one.")
    columns = "_".join(str(fields[field].column) for field in names)
    default = f"unique_{model._meta.db_table}_{columns}".replace('"', "").encode()[:_LONGEST_NAME]
    return models.UniqueConstraint(fields=names, name=name or default.decode(errors="ignore"))
