"""The command that previews and applies a rule; one subclass for each rule, and one for any rule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.apps import apps
from django.core.management.base import CommandParser

from integrity.dedupe import (
    DedupeRule,
    PlanSummary,
    RunSummary,
    apply_plan,
    make_plan,
    resume_run,
    summarize_plan,
    unfinished_run,
)
from integrity.dedupe.keep import STRATEGIES, named
from integrity.management.base import CLEAN, FOUND, IntegrityCommand, failure
from integrity.management.report import plural, print_plan, print_run


class DedupeCommand(IntegrityCommand):
    """Preview by default, apply with ``--apply``.

    Exit codes: 0 done (a preview, or no group was left over), 1 applied and something is left (refused groups, or
    groups that writers made meanwhile), 2 could not be done; nothing is lost in any case.
    """

    has_format = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--apply", action="store_true", help="Do what the plan says. Default: show it only.")
        parser.add_argument("--plan", type=int, metavar="PLAN", help="Take this stored plan instead of making one.")
        parser.add_argument(
            "--keep", choices=STRATEGIES, help="Which row survives, among the complete ones. Default: the rule's own."
        )
        parser.add_argument("--limit", type=_positive, metavar="N", help="Treat at most N duplicate groups.")
        parser.add_argument(
            "--batch-size",
            type=_positive,
            metavar="N",
            help="Groups in one transaction. Default: as many as take 100 ms.",
        )
        parser.add_argument("--no-input", action="store_true", help="Do not ask before rows are moved.")

    def get_rule(self, **options: Any) -> DedupeRule:
        """The rule that this command applies."""
        raise NotImplementedError

    def run(self, **options: Any) -> int:
        rule = self.get_rule(**options)
        if options["keep"]:
            rule = replace(rule, keep=named(options["keep"], clock=rule.clock))
        if not options["apply"]:
            self._show_plan(self._plan(rule, options), preview=True)
            return CLEAN
        return self._apply(rule, options)

    def _apply(self, rule: DedupeRule, options: dict[str, Any]) -> int:
        """Finish what an earlier call began, then make and apply a plan."""
        using = options["database"]
        begun = unfinished_run(rule, apps=apps, using=using)
        if begun is not None:
            self._ask(f"Run {begun} was not finished. Go on with it?", options)
            with self.progress() as report:
                resumed = resume_run(
                    begun, rule, apps=apps, using=using, batch_size=options["batch_size"], report=report
                )
            self._show_run(resumed)
        plan = self._plan(rule, options)
        if options["plan"] is None or not options["no_input"]:  # else it was seen, and nobody is asked
            self._show_plan(plan, preview=False)
        if not plan.groups:
            return CLEAN
        self._ask(f"Move {plural(plan.redundant + plan.collisions, 'row')} to quarantine?", options)
        with self.progress() as report:
            run = apply_plan(plan.id, rule, apps=apps, using=using, batch_size=options["batch_size"], report=report)
        self._show_run(run)
        expected = options["limit"] is not None and not run.refused
        return CLEAN if run.clean or expected else FOUND

    def _plan(self, rule: DedupeRule, options: dict[str, Any]) -> PlanSummary:
        if options["plan"] is not None:
            return summarize_plan(options["plan"], apps=apps, using=options["database"])
        with self.progress() as report:
            return make_plan(rule, apps=apps, using=options["database"], limit=options["limit"], report=report)

    def _show_plan(self, plan: PlanSummary, *, preview: bool) -> None:
        if self.options["format"] == "json":
            if preview or not plan.groups:
                self.print_json({"plan": plan.to_json()})
            return
        print_plan(self.console(), plan)
        if preview and plan.groups:
            command = f"manage.py {self.command_name} --apply --plan {plan.id}"
            self.console().print(
                f"\nNothing was changed. To apply exactly this plan, until {plan.expires_at:%Y-%m-%d %H:%M} UTC:\n"
                f"  {command}"
            )

    @property
    def command_name(self) -> str:
        """What the user typed to get here."""
        return type(self).__module__.rpartition(".")[2]

    def _show_run(self, run: RunSummary) -> None:
        if self.options["format"] == "json":
            self.print_json({"run": run.to_json()})
        else:
            print_run(self.console(), run)

    def _ask(self, question: str, options: dict[str, Any]) -> None:
        """Go on only after a yes.

        Raises:
            CommandError: the answer was no, or there is nobody to answer.
        """
        if options["no_input"]:
            return
        self.stderr.write(f"{question} [y/N] ", ending="")
        self.stderr.flush()
        try:
            answer = input()
        except EOFError:
            raise failure("Nobody is here to answer. Add --no-input to go on without asking.") from None
        if answer.strip().lower() not in ("y", "yes"):
            raise failure("Nothing was changed.")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


_positive.__name__ = "positive whole number"  # argparse names it in its error
