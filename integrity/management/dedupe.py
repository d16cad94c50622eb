"""The command that previews and applies a rule; one subclass for each rule, and ``dedupe`` for any rule."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.core.management.base import CommandParser

from integrity.dedupe import (
    DedupeRule,
    PlanSummary,
    RunSummary,
    apply_plan,
    build_indexes,
    list_runs,
    make_plan,
    resume_run,
    summarize_plan,
    summarize_run,
    unfinished_run,
)
from integrity.dedupe.abbreviation import to_the_minute
from integrity.dedupe.advice import command_for
from integrity.dedupe.keep import STRATEGIES
from integrity.dedupe.plans import UnknownPlan, load_plan, require_applicable
from integrity.dedupe.states import RESUMABLE
from integrity.management.asking import confirm
from integrity.management.base import CLEAN, FOUND, IntegrityCommand, failure
from integrity.management.pacing import add_pacing, paced
from integrity.management.report import plural, print_plan, print_run
from integrity.management.stopping import stopping
from integrity.management.values import positive
from integrity.rules.wording import Wording, rule_of


class DedupeCommand(IntegrityCommand):
    """Preview by default, apply with ``--apply``.

    Exit codes: 0 done (a preview, or no group was left over), 1 applied and something is left (refused groups, groups
    that writers made meanwhile, or a run that was paused or cancelled), 2 could not be done, 130 or 143 stopped by a
    signal; nothing is lost in any case.
    """

    has_format = True
    rule_name = ""
    """The registered rule that this command is about."""
    resumed: RunSummary | None = None
    """The run that was finished first; for programs, it is part of the one document about the plan or run after it."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add = parser.add_argument
        add("--apply", action="store_true", help="Do what the plan says. Default: show it only.")
        add("--plan", type=int, metavar="PLAN", help="Take this stored plan instead of making one.")
        add("--digest", default="", help="With --plan: go on only if this is the plan's digest.")
        add("--keep", choices=STRATEGIES, help="Which row survives, among complete ones. Default: the rule's own.")
        add("--limit", type=positive, metavar="N", help="Treat at most N duplicate groups.")
        add("--left-by", type=int, metavar="RUN", help="Plan only the groups that this run refused, in a moment.")
        add("--build-indexes", action="store_true", help="Before applying, build indexes that references lack.")
        add("--no-input", action="store_true", help="Do not ask before rows are moved.")
        add_pacing(parser)

    def word(self, options: dict[str, Any]) -> Wording:
        """How the rule of a new plan is asked for."""
        return Wording(rule=self.rule_name, keep=options["keep"] or "")

    def run(self, **options: Any) -> int:
        if options["plan"] is None:
            self._require_plan_for("digest", options)
            return self._apply_new(options) if options["apply"] else self._preview(self._new_plan(options))
        plan = self.stored_plan(options)
        return self._apply_stored(plan, options) if options["apply"] else self._preview(plan)

    def stored_plan(self, options: dict[str, Any]) -> PlanSummary:
        """The plan that ``--plan`` names, after checking that it is one for this command."""
        plan = summarize_plan(options["plan"], apps=apps, using=options["database"], digest=options["digest"])
        if self.rule_name not in ("", plan.rule):
            take = command_for(f"dedupe --plan {plan.id}", using=plan.database)
            raise failure(f"Plan {plan.id} is of rule {plan.rule}. Take it with: {take}")
        if options["keep"] or options["limit"] or options["left_by"]:
            raise failure(f"Plan {plan.id} is made already: --keep, --limit and --left-by are for new plans.")
        return plan

    def _require_plan_for(self, name: str, options: dict[str, Any]) -> None:
        if options[name]:
            raise failure(f"--{name} belongs to a stored plan: say which with --plan.")

    def _new_plan(self, options: dict[str, Any]) -> PlanSummary:
        wording = self.word(options)
        with self.progress() as report:
            return make_plan(
                wording.build(),
                apps=apps,
                using=options["database"],
                limit=options["limit"],
                left_by=options["left_by"],
                wording=wording.to_json(),
                report=report,
            )

    def _preview(self, plan: PlanSummary) -> int:
        self.show_plan(plan)
        if self.options["format"] == "text" and plan.groups:
            self.console().print(f"\nNothing was changed. {self._next_step(plan)}")
        return CLEAN

    def _next_step(self, plan: PlanSummary) -> str:
        """How to apply a plan, or to go on with its run, or why neither is possible."""
        using = self.options["database"]
        try:
            require_applicable(load_plan(plan.id, apps=apps, using=using), apps=apps, using=using)
        except UnknownPlan as error:
            runs = (run for run in list_runs(apps=apps, using=using) if run.plan == plan.id)
            begun = next((run.id for run in runs if run.state in RESUMABLE), None)
            return str(error) if begun is None else f"To go on: {command_for(f'dedupe --resume {begun}', using=using)}"
        until = to_the_minute(plan.expires_at)
        return f"To apply exactly this plan, until {until}:\n  {self.again(f'--apply --plan {plan.id}')}"

    def again(self, arguments: str) -> str:
        """What to type for another step of the same work."""
        name = type(self).__module__.rpartition(".")[2]
        return command_for(f"{name} {arguments}", using=self.options["database"])

    def _apply_new(self, options: dict[str, Any]) -> int:
        """Finish what an earlier call began, then make and apply a plan."""
        begun = unfinished_run(self.word(options).build(), apps=apps, using=options["database"])
        if begun is not None:
            self.ask(f"Run {begun} was not finished. Go on with it?")
            resumed = self._take_up(begun)
            finished = resumed.state == "finished" and not resumed.note
            if options["format"] == "text" or not finished:
                self.show_run(resumed)
            if not finished:
                return FOUND
            self.resumed = resumed
        return self._carry_out(self._new_plan(options), options)

    def _apply_stored(self, plan: PlanSummary, options: dict[str, Any]) -> int:
        begun = unfinished_run(rule_of_plan(plan), apps=apps, using=options["database"])
        if begun is not None and summarize_run(begun, apps=apps, using=options["database"]).plan == plan.id:
            self.ask(f"Run {begun} of this plan was not finished. Go on with it?")
            return self.outcome(self.resume(begun))
        return self._carry_out(plan, options, seen=options["no_input"])

    def _carry_out(self, plan: PlanSummary, options: dict[str, Any], *, seen: bool = False) -> int:
        if not plan.groups or (options["format"] == "text" and not seen):
            self.show_plan(plan)
        if not plan.groups:
            return CLEAN
        self.ask(f"Move {plural(plan.redundant - plan.staying + plan.collisions, 'row')} to quarantine?")
        using = options["database"]
        if options["build_indexes"]:
            build_indexes(plan.id, apps=apps, using=using, say=self.stderr.write)
        with self._working() as work:
            run = apply_plan(plan.id, rule_of_plan(plan), apps=apps, using=using, digest=options["digest"], **work)
        self.show_run(run)
        return self.outcome(run)

    def resume(self, run_id: int) -> RunSummary:
        """Take up a run by the rule that its plan was made by, and show what came of it."""
        run = self._take_up(run_id)
        self.show_run(run)
        return run

    def outcome(self, run: RunSummary) -> int:
        """The exit code after a run: groups beyond --limit are left on purpose, and with --no-verify nobody looks."""
        through = run.state == "finished" and not run.note and not run.refused
        asked = self.options["limit"] is not None or self.options["no_verify"]
        return CLEAN if run.clean or (asked and through) else FOUND

    def _take_up(self, run_id: int) -> RunSummary:
        using = self.options["database"]
        plan = summarize_plan(summarize_run(run_id, apps=apps, using=using).plan, apps=apps, using=using)
        with self._working() as work:
            return resume_run(run_id, rule_of_plan(plan), apps=apps, using=using, **work)

    @contextmanager
    def _working(self) -> Iterator[dict[str, Any]]:
        """Yield how to work; afterwards, end the command if a signal has stopped it."""
        with stopping() as stop, self.progress() as report:
            yield {**paced(self.options, stop=stop.wanted), "report": report}
        self._stopped_by = stop

    def show_plan(self, plan: PlanSummary) -> None:
        """Print a plan."""
        if self.options["format"] == "json":
            self.print_json({**self._before(), "plan": plan.to_json()})
        else:
            print_plan(self.console(), plan)

    def show_run(self, run: RunSummary) -> None:
        """Print a run; where a signal has stopped it, end the command as the signal would have.

        Raises:
            SystemExit: it was stopped.
        """
        if self.options["format"] == "json":
            self.print_json({**self._before(), "run": run.to_json()})
        else:
            print_run(self.console(), run)
        if run.state == "interrupted":
            self.stdout.flush()
            self.stderr.write(f"Interrupted. {self.if_interrupted}")
            raise SystemExit(self._stopped_by.exit_code)

    def _before(self) -> dict[str, Any]:
        return {} if self.resumed is None else {"resumed": self.resumed.to_json()}

    def ask(self, question: str) -> None:
        """Go on only after a yes.

        Raises:
            CommandError: the answer was no, or there is nobody to answer.
        """
        if not self.options["no_input"]:
            confirm(self, question)


def rule_of_plan(plan: PlanSummary) -> DedupeRule:
    """The rule that a plan was made by."""
    return rule_of(name=plan.rule, wording=plan.wording)
