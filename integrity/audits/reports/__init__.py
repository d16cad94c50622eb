"""How findings are shown: ``text`` for people, ``json`` for programs."""

from integrity.audits.reports.json import json_report
from integrity.audits.reports.text import Section, text_report

__all__ = ["Section", "json_report", "text_report"]
