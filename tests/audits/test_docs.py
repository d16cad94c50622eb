"""The reference page and the registry name the same audits."""

from __future__ import annotations

import re
from pathlib import Path

from integrity.audits import registered_audits

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "audits.md"


def test_the_page_lists_every_audit_and_no_other() -> None:
    text = PAGE.read_text().partition("## JSON")[0]
    tag, listed = "", set()
    for new_tag, found in re.findall(r"^\|\s*(?:`([a-z-]+)`)?\s*\|\s*`(integrity\.A\d+)`", text, re.MULTILINE):
        tag = new_tag or tag
        listed.add((tag, found))

    assert listed == {(audit.tag, one) for audit in registered_audits() for one in audit.ids}


def test_the_page_lists_every_system_check() -> None:
    code = (ROOT / "integrity" / "checks.py").read_text()

    assert set(re.findall(r"integrity\.[EW]\d+", PAGE.read_text())) == set(re.findall(r"integrity\.[EW]\d+", code))
