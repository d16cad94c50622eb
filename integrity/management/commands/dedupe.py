"""``manage.py dedupe``: any model, any rule; and all that can be done with plans and runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from django.apps import apps
from django.core.management.base import CommandParser

from integrity.dedupe import (
    PlanSummary,
    cancel_run,
    inspect_planned_group,
    list_plans,
    list_runs,
    pause_run,
    revise_plan,
    summarize_plan,
    summarize_run,
)
from integrity.management.base import CLEAN, failure
from integrity.management.books import print_books, print_group
from integrity.management.dedupe import DedupeCommand, rule_of_plan
from integrity.management.export import export
from integrity.management.ruleoptions import WORDS, add_rule_options, wording_of
from integrity.management.values import numbered, positive
from integrity.rules.wording import Wording

_PLANNING: Final = (
    *WORDS,
    *("keep", "limit", "left_by", "plan", "digest", "exclude", "survivor", "apply", "build_indexes"),
)
"""Options that make, revise or apply a plan."""


class Command(DedupeCommand):
    """See ``DedupeCommand`` for the exit codes."""

    help = (
        "Find rows of a model that share a key, show which would stay and why; with --apply move the others to "
        "quarantine and their references to the survivor. Also lists, shows, exports and revises plans, and pauses, "
        "resumes and cancels runs."
    )
    formats = ("text", "json", "csv")

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "target", nargs="?", default="", metavar="RULE | app.Model", help="A registered rule, or a model."
        )
        add_rule_options(parser)
        self._add_books(parser)
        revising = parser.add_argument_group("revise the plan that --plan names")
        revising.add_argument(
            "--exclude",
            type=positive,
            nargs="+",
            action="extend",
            default=[],
            metavar="GROUP",
            help="Leave groups out.",
        )
        revising.add_argument(
            "--survivor",
            type=numbered,
            nargs="+",
            action="extend",
            default=[],
            metavar="GROUP=PK",
            help="Let this row of a group survive.",
        )

    def _add_books(self, parser: CommandParser) -> None:
        group = parser.add_argument_group("plans and runs")
        what = group.add_mutually_exclusive_group()
        what.add_argument("--list", action="store_true", help="List plans and runs.")
        what.add_argument("--show", type=int, metavar="PLAN", help="Show a plan, or one --group of it side by side.")
        what.add_argument("--export", type=int, metavar="PLAN", help="Write every row of a plan, as csv or json.")
        what.add_argument("--pause", type=int, metavar="RUN", help="Let a run stop after the batch under way.")
        what.add_argument("--resume", type=int, metavar="RUN", help="Take up a run where it stands.")
        what.add_argument("--cancel", type=int, metavar="RUN", help="End a run where it stands.")
        group.add_argument("--group", type=positive, metavar="N", help="With --show: the group's number.")
        group.add_argument("-o", "--output", default="", metavar="FILE", help="With --export. Default: stdout.")

    def run_from_argv(self, argv: list[str]) -> None:
        """Let ``--order-by -score`` be: argparse takes any word that begins with a dash for an option."""
        where = [n for n, word in enumerate(argv[:-1]) if word == "--order-by"]
        for n in reversed(where):
            argv = [*argv[:n], f"--order-by={argv[n + 1]}", *argv[n + 2 :]]
        super().run_from_argv(argv)

    def word(self, options: dict[str, Any]) -> Wording:
        if options["left_by"] is not None:
            return self._worded_for(options["left_by"], options)
        if not options["target"]:
            raise failure(f"Which rule, or which model? See plans and runs: {self.again('--list')}")
        return wording_of(options)

    def _worded_for(self, run_id: int, options: dict[str, Any]) -> Wording:
        """How the rule of a run was asked for."""
        run = summarize_run(run_id, apps=apps, using=options["database"])
        if any(options[name] for name in (*WORDS, "keep")):
            raise failure(f"Run {run_id} says what its rule is ({run.rule}): leave the rule out.")
        wording = summarize_plan(run.plan, apps=apps, using=options["database"]).wording
        return Wording.from_json(wording) if wording else Wording(rule=run.rule)

    def run(self, **options: Any) -> int:
        self._require_consistent(options)
        for name, action in self._actions().items():
            if options[name] not in (None, False):
                self._require_alone(name, options)
                return action(options)
        return super().run(**options)

    def _actions(self) -> dict[str, Callable[[dict[str, Any]], int]]:
        return {
            "list": self._list,
            "show": self._show,
            "export": self._export,
            "pause": self._pause,
            "resume": self._resume,
            "cancel": self._cancel,
        }

    def _require_consistent(self, options: dict[str, Any]) -> None:
        if options["format"] == "csv" and options["export"] is None:
            raise failure("--format csv is for --export.")
        if (options["exclude"] or options["survivor"]) and options["plan"] is None:
            raise failure("--exclude and --survivor revise a stored plan: say which with --plan.")
        if options["group"] is not None and options["show"] is None:
            raise failure("--group is for --show PLAN.")
        if options["output"] and options["export"] is None:
            raise failure("--output is for --export PLAN.")
        if options["nulls"] and not options["key"]:
            raise failure("--nulls is for --key: a rule and a constraint say themselves what NULLs are.")
        if options["keep"] and options["order_by"]:
            raise failure("Give either --keep or --order-by.")
        if len(dict(options["survivor"])) < len(set(options["survivor"])):
            raise failure("--survivor names two rows of one group: one row of a group survives.")

    def _require_alone(self, action: str, options: dict[str, Any]) -> None:
        for name in _PLANNING:
            if options[name] and (action, name) not in (("show", "digest"), ("resume", "apply")):
                said = options[name] if name == "target" else f"--{name.replace('_', '-')}"
                raise failure(f"{said} means nothing beside --{action}: leave one of them out.")

    def stored_plan(self, options: dict[str, Any]) -> PlanSummary:
        """The plan that ``--plan`` names, revised as the options say."""
        plan = super().stored_plan(options)
        words = [options[name] for name in WORDS]
        if any(words) and (any(words[1:]) or options["target"] != plan.rule):
            raise failure(f"Plan {plan.id} says what its rule is ({plan.rule}): leave the rule out.")
        if not (options["exclude"] or options["survivor"]):
            return plan
        with self.progress() as report:
            revised = revise_plan(
                plan.id,
                rule_of_plan(plan),
                apps=apps,
                using=options["database"],
                exclude=options["exclude"],
                survivors=dict(options["survivor"]),
                digest=options["digest"],
                report=report,
            )
        options["digest"] = revised.digest
        return revised

    def _list(self, options: dict[str, Any]) -> int:
        plans = list_plans(apps=apps, using=options["database"])
        runs = list_runs(apps=apps, using=options["database"])
        if options["format"] == "json":
            self.print_json({"plans": [plan.to_json() for plan in plans], "runs": [run.to_json() for run in runs]})
        else:
            print_books(self.console(), plans, runs)
        return CLEAN

    def _show(self, options: dict[str, Any]) -> int:
        options["plan"] = options["show"]
        plan = super().stored_plan(options)
        number = options["group"]
        if number is None:
            self.show_plan(plan)
            return CLEAN
        rule, using = rule_of_plan(plan), options["database"]
        group = inspect_planned_group(rule, plan=plan.id, number=number, apps=apps, using=using)
        if options["format"] == "json":
            self.print_json({"group": asdict(group) | {"differing": sorted(group.differing)}})
        else:
            print_group(self.console(), group, plan=plan, number=number)
        return CLEAN

    def _export(self, options: dict[str, Any]) -> int:
        export(
            options["export"],
            to=options["output"],
            stdout=self.console().file,
            format=options["format"],
            using=options["database"],
        )
        return CLEAN

    def _pause(self, options: dict[str, Any]) -> int:
        self.show_run(pause_run(options["pause"], apps=apps, using=options["database"]))
        return CLEAN

    def _resume(self, options: dict[str, Any]) -> int:
        return self.outcome(self.resume(options["resume"]))

    def _cancel(self, options: dict[str, Any]) -> int:
        self.show_run(cancel_run(options["cancel"], apps=apps, using=options["database"]))
        return CLEAN
