"""Policy: which tables must hold one row for each key, and which row wins. One file per system.

Any installed app may have rules of its own: a module ``rules.py`` that calls ``register``, found as Django finds
``admin.py``; or the decorator ``dedupe_rule`` on a model.
"""

from integrity.rules import clustering as clustering
from integrity.rules import embeddings as embeddings
from integrity.rules import files as files
from integrity.rules import patterns as patterns
from integrity.rules import workflows as workflows
from integrity.rules.registry import (
    UnknownRule,
    active_rules,
    constraints_of,
    dedupe_rule,
    get_rule,
    register,
    rule_for,
)

__all__ = ["UnknownRule", "active_rules", "constraints_of", "dedupe_rule", "get_rule", "register", "rule_for"]
