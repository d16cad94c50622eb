"""Policy: which tables must hold one row for each key, and which row wins. One file per system."""

from integrity.rules import embeddings as embeddings
from integrity.rules.registry import UnknownRule, active_rules, get_rule, register

__all__ = ["UnknownRule", "active_rules", "get_rule", "register"]
