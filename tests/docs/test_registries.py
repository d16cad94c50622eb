"""Settings, environment variables, signals, commands, operations and exit codes are those of their pages."""

from __future__ import annotations

import inspect
import re
import signal
import tomllib
from dataclasses import fields

from django.apps import apps
from django.core.management import get_commands
from django.dispatch import Signal

from integrity import conf, dedupe, operations, signals
from integrity.dedupe.states import TRANSITIONS
from integrity.management import base
from project.local import CHECKOUT
from tests.docs.pages import DOCS, PAGES, REFERENCE, first_cells

SETTING = re.compile(r"``(INTEGRITY_[A-Z_]+)``")
READ_FROM_THE_ENVIRONMENT = re.compile(r'(?:os\.environ\.get|_words)\(\s*"(\w+)"')


def test_every_setting_of_the_app_is_on_its_page() -> None:
    functions = inspect.getmembers(
        conf, lambda member: inspect.getmodule(member) is conf and inspect.isfunction(member)
    )
    public = [(name, function) for name, function in functions if not name.startswith("_")]
    declared = {name: SETTING.match(inspect.getdoc(function) or "") for name, function in public}

    assert all(declared.values()), "the docstring of each public function in conf.py begins with its setting"
    assert {found[1] for found in declared.values() if found} == {
        name for name in first_cells(REFERENCE / "settings.md") if name.startswith("INTEGRITY_")
    }


def test_every_environment_variable_of_the_site_is_on_its_page_and_in_its_settings_docstring() -> None:
    code = (CHECKOUT / "project" / "settings.py").read_text()
    read = set(READ_FROM_THE_ENVIRONMENT.findall(code))
    in_docstring = set(re.findall(r"^``(\w+)``", code, re.MULTILINE))

    assert read <= in_docstring
    assert in_docstring <= first_cells(REFERENCE / "settings.md")


def test_every_signal_is_on_its_page_with_its_arguments() -> None:
    code = inspect.getsource(signals)
    documented = dict(re.findall(r'^(\w+) = Signal\(\)\n"""(.*?)"""', code, re.MULTILINE | re.DOTALL))
    page = (REFERENCE / "signals.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", page, re.MULTILINE))

    assert rows.keys() == {name for name, member in vars(signals).items() if isinstance(member, Signal)}
    for name, documentation in documented.items():
        arguments = set(re.findall(r"``(\w+)``", documentation))
        assert arguments <= set(re.findall(r"`(\w+)`", rows[name])), name


def test_what_a_rule_can_say_is_on_its_page() -> None:
    said = {field.name for kind in (dedupe.DedupeRule, dedupe.SoftReference) for field in fields(kind)}
    public = {name: getattr(dedupe, name) for name in dedupe.__all__}
    orderings = {name for name, member in public.items() if isinstance(member, type) and hasattr(member, "order_by")}

    assert {name.partition("(")[0] for name in first_cells(REFERENCE / "rules.md")} == said | orderings


def test_every_command_is_on_its_page() -> None:
    ours = {name for name, app in get_commands().items() if app == apps.get_app_config("integrity").name}

    assert ours == first_cells(REFERENCE / "commands.md")


def test_every_operation_is_on_its_page() -> None:
    page = (REFERENCE / "operations.md").read_text()

    assert [name for name in operations.__all__ if f"`{name}" not in page] == []


def test_every_exit_code_is_on_its_page() -> None:
    codes = {base.CLEAN, base.FOUND, base.FAILED, base.INTERRUPTED, base.PIPE_CLOSED, 128 + signal.SIGTERM}

    assert {int(code) for code in first_cells(REFERENCE / "exit-codes.md")} == codes


def test_the_floors_in_the_picture_are_those_that_the_imports_are_checked_against() -> None:
    contracts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    page = (DOCS / "explanation" / "architecture.md").read_text()
    rows = re.findall(r"^\| \d \|([^|]+)\|", page, re.MULTILINE)

    assert [set(re.findall(r"\w+", row)) for row in rows] == [set(re.findall(r"\w+", layer)) for layer in layers]


def test_the_states_of_a_run_are_those_of_the_code() -> None:
    page = (DOCS / "explanation" / "architecture.md").read_text().partition("| from | to |")[2].partition("##")[0]
    rows = re.findall(r"^\| ([a-z ]+) \| (.+) \|$", page, re.MULTILINE)

    assert {state: set(after.split(", ")) - {"–"} for state, after in rows} == TRANSITIONS


def test_every_target_that_a_page_tells_to_make_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    told = {target for page in PAGES for target in re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(), re.MULTILINE)}

    assert told - targets == set()


def test_every_test_that_a_guarantee_rests_on_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (DOCS / "explanation" / "guarantees.md").read_text())

    assert named
    for path, test in named:
        assert f"def {test}(" in (CHECKOUT / path).read_text(), f"{path}::{test}"
