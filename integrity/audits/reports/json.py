"""Findings for programs. The names below are an interface: docs/reference/audits.md describes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from integrity.audits.finding import Finding, Level

VERSION = 1


def json_report(*, findings: Sequence[Finding], using: str, fail_level: Level) -> dict[str, Any]:
    """Return what ``audit --format json`` prints."""
    return {
        "version": VERSION,
        "database": using,
        "fail_level": fail_level.name,
        "failed": any(finding.level >= fail_level for finding in findings),
        "counts": {level.name: sum(finding.level == level for finding in findings) for level in Level},
        "findings": [finding.to_json() for finding in findings],
    }
