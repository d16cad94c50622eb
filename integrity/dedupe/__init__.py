"""The engine: find duplicates of any model, decide, repoint references, quarantine, verify, undo.

It knows no table: it is handed a rule, an app registry and a database alias, so that a command, a page, a data
migration and a stranger's models use the same code. ``plan`` decides and stores the decision, ``runner`` carries it
out in short transactions through ``resolver``, ``undo`` takes it back.
"""

from integrity.dedupe.books import NotMigrated
from integrity.dedupe.control import cancel_run, pause_run
from integrity.dedupe.copying import copy_removed
from integrity.dedupe.drift import SchemaChanged
from integrity.dedupe.export import PlannedRow, ValueChange, planned_rows
from integrity.dedupe.finder import count_duplicates, largest_groups
from integrity.dedupe.groups import Group, Member, ReferenceCount
from integrity.dedupe.indexing import build_indexes
from integrity.dedupe.inspection import (
    UnknownRow,
    inspect_group,
    inspect_planned_group,
    with_duplicates,
)
from integrity.dedupe.keep import (
    Earliest,
    Latest,
    Medoid,
    MostComplete,
    MostReferenced,
    OrderByFields,
    StatusOrder,
    UnknownKeep,
)
from integrity.dedupe.lanes import OneConnection
from integrity.dedupe.leftovers import holding_leftovers
from integrity.dedupe.plan import make_plan
from integrity.dedupe.plans import (
    PlanChanged,
    UnknownGroup,
    UnknownPlan,
    discard_plan,
    list_plans,
    summarize_plan,
)
from integrity.dedupe.progress import Progress, Report, silent
from integrity.dedupe.purge import PurgeSummary, purge_quarantine
from integrity.dedupe.quarantine import SideTableGone
from integrity.dedupe.removed import Quarantine, RemovedPage, RemovedRow, quarantines_of, removed_rows
from integrity.dedupe.resolver import VerificationFailed
from integrity.dedupe.results import (
    DuplicateCount,
    PlanEntry,
    PlanSummary,
    ReferenceSummary,
    Refusal,
    RunSummary,
    UndoSummary,
)
from integrity.dedupe.revision import revise_plan
from integrity.dedupe.rule import DedupeRule, InvalidRule, SoftReference
from integrity.dedupe.runner import RunFailed, apply_plan, resume_run
from integrity.dedupe.runs import UnknownRun, list_runs, summarize_run, unfinished_run
from integrity.dedupe.states import WrongState
from integrity.dedupe.target import MissingTable
from integrity.dedupe.throttle import Pace
from integrity.dedupe.turns import TableBusy
from integrity.dedupe.undo import Purged, undo_run
from integrity.dedupe.whereabouts import Step, Whereabouts, where_is

__all__ = [
    "DedupeRule",
    "DuplicateCount",
    "Earliest",
    "Group",
    "InvalidRule",
    "Latest",
    "Medoid",
    "Member",
    "MissingTable",
    "MostComplete",
    "MostReferenced",
    "NotMigrated",
    "OneConnection",
    "OrderByFields",
    "Pace",
    "PlanChanged",
    "PlanEntry",
    "PlanSummary",
    "PlannedRow",
    "Progress",
    "PurgeSummary",
    "Purged",
    "Quarantine",
    "ReferenceCount",
    "ReferenceSummary",
    "Refusal",
    "RemovedPage",
    "RemovedRow",
    "Report",
    "RunFailed",
    "RunSummary",
    "SchemaChanged",
    "SideTableGone",
    "SoftReference",
    "StatusOrder",
    "Step",
    "TableBusy",
    "UndoSummary",
    "UnknownGroup",
    "UnknownKeep",
    "UnknownPlan",
    "UnknownRow",
    "UnknownRun",
    "ValueChange",
    "VerificationFailed",
    "Whereabouts",
    "WrongState",
    "apply_plan",
    "build_indexes",
    "cancel_run",
    "copy_removed",
    "count_duplicates",
    "discard_plan",
    "holding_leftovers",
    "inspect_group",
    "inspect_planned_group",
    "largest_groups",
    "list_plans",
    "list_runs",
    "make_plan",
    "pause_run",
    "planned_rows",
    "purge_quarantine",
    "quarantines_of",
    "removed_rows",
    "resume_run",
    "revise_plan",
    "silent",
    "summarize_plan",
    "summarize_run",
    "undo_run",
    "unfinished_run",
    "where_is",
    "with_duplicates",
]
