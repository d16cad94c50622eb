"""Read-only questions to a database: what breaks a rule, what allows it to be broken, what else is damaged.

Each check is a file of its own that registers a function under a tag; the import below is what makes it known.
"""

from integrity.audits import (  # noqa: F401 - registers
    additions,
    constraints,
    duplicates,
    id_types,
    incomplete,
    indexes,
    orphans,
    tables,
)
from integrity.audits.context import AuditContext
from integrity.audits.finding import Finding, Level
from integrity.audits.registry import Audit, UnknownTag, register, registered_audits
from integrity.audits.runner import NothingToAudit, run_audits

__all__ = [
    "Audit",
    "AuditContext",
    "Finding",
    "Level",
    "NothingToAudit",
    "UnknownTag",
    "register",
    "registered_audits",
    "run_audits",
]
