"""``manage.py dedupe``: any model and rule from the command line, and the books of plans and runs."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction
from django.dispatch import Signal

from integrity.dedupe import RunFailed
from integrity.models import DedupePlan, DedupeRun
from integrity.signals import batch_done, batch_step
from tests.commands import CommandResult
from tests.databases import Database
from tests.ponies.merging import ONE_NAME, merge, twins
from tests.ponies.models import Pony, Remark, Ribbon, Show
from tests.snapshots import snapshot

Call = Callable[..., CommandResult]
HERD = ("dedupe", "ponies.Pony", "--key", "name")
APPLY = ("--apply", "--no-input")


def herd(pairs: int) -> None:
    """That many pairs of ponies; the first of each has the smaller key."""
    Pony.all_objects.bulk_create(
        Pony(pk=2 * n + m, name=f"pony {n}", code=f"{n}-{m}", foaled=m) for n in range(1, pairs + 1) for m in (0, 1)
    )


def names() -> list[int]:
    return sorted(Pony.all_objects.values_list("pk", flat=True))


def planned(call: Call, *arguments: str) -> str:
    """The number of a new plan."""
    return str(plan_of(call(*HERD, *arguments, "--format", "json"))["id"])


def plan_of(result: CommandResult) -> Any:
    assert result.code == 0, result.err
    return json.loads(result.out)["plan"]


@contextmanager
def at(point: Signal, act: Callable[[], object], *, step: str = "", times: int = 1) -> Iterator[None]:
    """Do something the first times that a signal is sent."""
    left = times

    def receive(**arguments: Any) -> None:
        nonlocal left
        if left and arguments.get("step", "") == step:
            left -= 1
            act()

    point.connect(receive, weak=False)
    try:
        yield
    finally:
        point.disconnect(receive)


def interrupted_run(call: Call, *arguments: str) -> None:
    """Apply three groups, then stop."""
    with at(batch_step, partial(os.kill, os.getpid(), signal.SIGINT), step="locked"):
        assert call("dedupe", *arguments, "--batch-size", "3", *APPLY).code == 130


def test_a_model_and_a_key_are_all_it_takes(ponies: Database, call: Call) -> None:
    twins()
    before = snapshot()

    shown = call(*HERD)

    assert (shown.code, snapshot()) == (0, before)
    assert f"manage.py dedupe --apply --plan {DedupePlan.objects.latest('pk').pk}" in shown.out
    assert call(*HERD, *APPLY).code == 0
    assert names() == [1]


def test_the_fields_of_a_key_may_stand_between_commas_as_for_add_unique(ponies: Database, call: Call) -> None:
    asked = (("sire,name",), ("sire", "name"))

    plans = [plan_of(call("dedupe", "ponies.Pony", "--key", *key, "--format", "json")) for key in asked]

    assert [plan["key"] for plan in plans] == [["sire", "name"]] * 2


def test_a_plan_made_ad_hoc_is_applied_by_its_number_alone(ponies: Database, call: Call) -> None:
    twins(foaled=3)
    plan = planned(call, "--order-by", "-foaled")

    applied = call("dedupe", "--plan", plan, *APPLY)

    assert applied.code == 0
    assert names() == [2]


def test_a_clock_says_which_row_is_the_earliest_and_which_the_latest(ponies: Database, call: Call) -> None:
    first, _ = twins(foaled=3)
    Pony.all_objects.filter(pk=first.pk).update(foaled=5)

    earliest = call(*HERD, "--clock", "foaled")
    latest = call(*HERD, "--clock", "foaled", "--keep", "latest", *APPLY)

    assert "The survivor of a group: oldest by foaled, then smallest primary key." in earliest.out
    assert "newest by foaled" in latest.out
    assert names() == [1]


def test_a_plan_that_cannot_be_applied_any_more_says_so_instead_of_how_to(ponies: Database, call: Call) -> None:
    twins()
    overtaken, plan = planned(call), planned(call)
    run = json.loads(call("dedupe", "--plan", plan, *APPLY, "--format", "json").out)["run"]["id"]

    applied, superseded = (" ".join(call("dedupe", "--plan", number).out.split()) for number in (plan, overtaken))

    assert f"Nothing was changed. Plan {plan} was applied before by run {run};" in applied
    assert f"Nothing was changed. Plan {overtaken} is superseded: run {run}" in superseded
    assert "To apply" not in applied + superseded


def test_a_plan_whose_run_is_unfinished_says_how_to_go_on(ponies: Database, call: Call) -> None:
    herd(9)
    plan = planned(call)
    interrupted_run(call, "--plan", plan)

    shown = call("dedupe", "--plan", plan)

    assert "To go on: manage.py dedupe --resume 1" in shown.out
    assert "To apply" not in shown.out


def test_duplicates_that_come_of_a_merge_are_for_the_next_call(ponies: Database, call: Call) -> None:
    grandmother = Pony.all_objects.create(pk=9, name="Misty")
    mothers = [Pony.all_objects.create(pk=pk, name="Dusty", sire=grandmother) for pk in (1, 2)]
    for pk, mother in zip((3, 4), mothers, strict=True):
        Pony.all_objects.create(pk=pk, name="Rusty", sire=mother)
    siblings = ("dedupe", "ponies.Pony", "--key", "sire", "name", *APPLY)

    first, second = call(*siblings), call(*siblings)

    assert (first.code, second.code) == (1, 0)
    assert "1 duplicate group left in ponies_pony. The same command again plans them." in " ".join(first.out.split())
    assert names() == [1, 3, 9]


@pytest.mark.parametrize(
    ("arguments", "next_step"),
    [
        (("ponies.Pony",), "say what is unique in it: --key or --constraint"),
        (("ponies.Pony", "--key", "name", "--keep", "latest"), "--clock FIELD"),
        (("ponies.Pony", "--key", "name", "--merge", "foaled=latest"), "--clock FIELD"),
    ],
)
def test_a_rule_that_lacks_something_is_told_what_to_do(
    ponies: Database, call: Call, arguments: tuple[str, ...], next_step: str
) -> None:
    twins()

    result = call("dedupe", *arguments)

    assert result.code == 2
    assert next_step in result.err


def test_a_survivor_from_elsewhere_is_answered_with_the_command_that_shows_the_group(
    ponies: Database, call: Call
) -> None:
    twins()
    plan = planned(call)

    result = call("dedupe", "--plan", plan, "--survivor", "1=99")

    assert result.code == 2
    assert f"manage.py dedupe --show {plan} --group 1" in result.err


def test_an_order_may_begin_with_a_dash(ponies: Database, call: Call) -> None:
    twins(foaled=3)

    assert call(*HERD, "--order-by", "-foaled,code", *APPLY).code == 0

    assert names() == [2]


def test_fields_are_merged_as_the_command_line_says(ponies: Database, call: Call) -> None:
    twins(foaled=3)

    assert call(*HERD, "--merge", "foaled=max", *APPLY).code == 0

    assert Pony.all_objects.get().foaled == 3


def test_of_rows_that_differ_the_preview_says_how_many_stay(ponies: Database, call: Call) -> None:
    Pony.all_objects.bulk_create(Pony(pk=pk, name="Misty", foaled=foaled) for pk, foaled in ((1, 1), (2, 1), (3, 3)))
    plan = planned(call, "--conflict", "identical-only")

    shown = call("dedupe", "--show", plan)
    counted = plan_of(call("dedupe", "--show", plan, "--format", "json"))

    assert "all but 1 go to quarantine" in shown.out
    assert (counted["redundant"], counted["staying"]) == (2, 1)
    call("dedupe", "--plan", plan, *APPLY)
    assert names() == [1, 3]


def test_rows_that_differ_stay_where_only_identical_ones_may_go(ponies: Database, call: Call) -> None:
    twins(foaled=3)

    assert call(*HERD, "--conflict", "identical-only", *APPLY).code == 1

    assert names() == [1, 2]


def test_identical_rows_may_differ_where_the_command_line_says(ponies: Database, call: Call) -> None:
    twins(foaled=3)

    assert call(*HERD, "--conflict", "identical-only", "--ignore", "foaled,code", *APPLY).code == 0

    assert names() == [1]


@pytest.mark.parametrize("option", [("--keep", "latest"), ("--merge", "foaled=latest")])
def test_a_clock_can_be_named_on_the_command_line(ponies: Database, call: Call, option: tuple[str, str]) -> None:
    twins(foaled=3)

    assert call(*HERD, "--clock", "foaled", *option, *APPLY).code == 0

    assert Pony.all_objects.get().foaled == 3


def test_nulls_in_the_key_may_be_equal(ponies: Database, call: Call) -> None:
    twins()
    by_foaled = ("dedupe", "ponies.Pony", "--key", "foaled")

    distinct = plan_of(call(*by_foaled, "--format", "json"))
    plan = plan_of(call(*by_foaled, "--nulls", "equal", "--format", "json"))
    applied = call("dedupe", "--plan", str(plan["id"]), *APPLY)

    assert distinct["groups"] == 0
    assert applied.code == 0, applied.err
    assert names() == [1]


def test_a_registered_rule_goes_by_its_name(dirty: Database, call: Call) -> None:
    assert plan_of(call("dedupe", "embeddings", "--format", "json"))["groups"] == 25


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Which rule"),
        (("nothing",), "no rule 'nothing'"),
        (("ponies.Pony",), "no rule 'ponies.Pony'"),
        (("ponies.Unicorn", "--key", "name"), "ponies.Unicorn"),
        (("ponies.Pony", "--key", "horn"), "no field 'horn'"),
        (("ponies.Pony", "--constraint", "one_horn"), "no UniqueConstraint 'one_horn'"),
        (("ponies.Pony", "--key", "name", "--order-by", "-horn"), "no field 'horn'"),
        (("ponies.Pony", "--key", "name", "--order-by", ","), "--order-by"),
        (("ponies.Pony", "--key", "name", "--merge", "foaled=most"), "'most'"),
        (("ponies.Pony", "--key", "name", "--merge", "foaled"), "name=value"),
        (("ponies.Pony", "--key", "name", "--keep", "latest"), "--clock"),
        (("ponies.Pony", "--key", "name", "--merge", "foaled=latest"), "--clock"),
        (("ponies.Pony", "--key", "name", "--clock", "horn"), "'horn'"),
        (("ponies.Pony", "--key", "name", "--ignore", "horn"), "'horn'"),
        (("embeddings", "--nulls", "equal"), "--nulls is for --key"),
        (("ponies.Pony", "--key", "name", "--digest", "abc"), "--plan"),
        (("ponies.Pony", "--key", "name", "--exclude", "1"), "--plan"),
        (("ponies.Pony", "--key", "name", "--pause-between", "-1"), "milliseconds"),
        (("ponies.Pony", "--key", "name", "--pause-between", "9" * 23), "milliseconds"),
        (("ponies.Pony", "--key", "name", "--pause-between", "9" * 400), "milliseconds"),
        (("ponies.Pony", "--key", "name", "--max-lag", "nan"), "seconds"),
        (("ponies.Pony", "--key", "name", "--max-lag", "1e300"), "seconds"),
        (("ponies.Pony", "--key", "name", "--limit", "9" * 23), "positive whole number"),
        (("--show", "9"), "no plan 9"),
        (("--show", "9" * 23), "no plan 9"),
        (("--show", "9", "--group", "9" * 23), "positive whole number"),
        (("--plan", "9", "--exclude", "9" * 23), "positive whole number"),
        (("--export", "9"), "no plan 9"),
        (("--pause", "9"), "no run 9"),
        (("--resume", "9"), "no run 9"),
        (("--cancel", "9"), "no run 9"),
        (("--list", "--format", "csv"), "--export"),
        (("--plan", "9", "--apply", "--no-input"), "no plan 9"),
        (("--plan", "9", "-o", "plan.csv"), "--output is for --export"),
        (("--plan", "9", "--survivor", "1=1", "1=2"), "two rows of one group"),
        (("--list", "--apply"), "--apply means nothing beside --list"),
        (("--show", "9", "--plan", "7", "--apply"), "--plan means nothing beside --show"),
        (("--resume", "9", "--build-indexes"), "--build-indexes means nothing beside --resume"),
        (("embeddings", "--cancel", "9"), "embeddings means nothing beside --cancel"),
    ],
)
def test_bad_input_is_told_in_one_line_with_exit_code_2(
    databases: Any, call: Call, arguments: tuple[str, ...], says: str
) -> None:
    databases.ponies("sqlite")

    refused = call("dedupe", *arguments)

    assert refused.code == 2
    assert says in refused.err
    assert "Traceback" not in refused.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("purge_quarantine", "--older-than", "99999999d"), "age"),
        (("undo_dedupe", "1", "--group", "9" * 23), "positive whole number"),
        (("undo_dedupe", "9" * 23), "no run 9"),
        (("where_is", "a\udcffb", "--table", "ponies_pony"), r"'a\udcffb' is not UTF-8"),
        (("where_is", "1", "--table", "a\udcffb"), "is not UTF-8"),
    ],
)
def test_what_neither_database_can_hold_is_told_in_one_line(
    ponies: Database, call: Call, arguments: tuple[str, ...], says: str
) -> None:
    refused = call(*arguments)

    assert refused.code == 2
    assert says in refused.err


def test_a_sum_out_of_range_is_told_in_one_line(postgres_ponies: Database, call: Call) -> None:
    twins()
    postgres_ponies.execute("ALTER TABLE ponies_pony ALTER foaled TYPE real USING 3e38")

    result = call("dedupe", "ponies.Pony", "--key", "name", "--merge", "foaled=sum")

    assert (result.code, result.out) == (2, "")
    assert re.search(r"out of range.* correct it, or leave its column out", result.err)


def test_an_id_that_is_too_large_for_the_table_is_of_no_row(ponies: Database, call: Call) -> None:
    assert call("where_is", "9" * 23, "--table", "ponies_pony").code == 1


def test_plans_and_runs_are_listed(ponies: Database, call: Call) -> None:
    DedupePlan.objects.all().delete()
    assert "No plan and no run yet" in call("dedupe", "--list").out
    twins()
    call(*HERD, *APPLY)
    call(*HERD)

    text = call("dedupe", "--list").out
    listed = json.loads(call("dedupe", "--list", "--format", "json").out)

    assert "ponies.Pony:name" in text
    assert [plan["state"] for plan in listed["plans"]] == ["planned", "applied"]
    assert [(run["state"], run["removed"]) for run in listed["runs"]] == [("finished", 1)]


def test_a_group_of_a_plan_is_shown_side_by_side(ponies: Database, call: Call) -> None:
    twins(foaled=3)
    plan = plan_of(call(*HERD, "--format", "json"))

    whole = call("dedupe", "--show", str(plan["id"]))
    one = call("dedupe", "--show", str(plan["id"]), "--group", "1")

    assert plan["digest"] in whole.out
    assert "Row 1 stays" in one.out
    assert "* foaled" in one.out
    shown = call("dedupe", "--show", str(plan["id"]), "--group", "1", "--format", "json")
    assert json.loads(shown.out)["group"]["size"] == 2
    assert "no group 7" in call("dedupe", "--show", str(plan["id"]), "--group", "7").err


def test_a_large_group_is_shown_some_rows_at_a_time_beside_the_survivor(ponies: Database, call: Call) -> None:
    Pony.all_objects.bulk_create(Pony(pk=number, name="Misty", code=f"code-{number:02}") for number in range(1, 31))

    shown = call("dedupe", "--show", planned(call), "--group", "1")

    assert all(f"code-{number:02}" in shown.out for number in range(1, 31))
    assert shown.out.count("code-01") > 1


def test_values_that_python_cannot_hold_are_shown_as_the_database_writes_them(
    postgres_ponies: Database, call: Call
) -> None:
    twins()
    moments = "timestamptz DEFAULT 'infinity'", "date DEFAULT '0044-03-15 BC'", "timestamp DEFAULT '20000-01-01'"
    for n, column in enumerate((*moments, "interval DEFAULT '1 day 02:00'", "date[] DEFAULT '{-infinity}'")):
        postgres_ponies.execute(f"ALTER TABLE ponies_pony ADD COLUMN moment_{n} {column}")
    postgres_ponies.execute(
        "DO $$ BEGIN EXECUTE "
        "'ALTER DATABASE ' || quote_ident(current_database()) || ' SET intervalstyle TO sql_standard'; END $$"
    )
    plan = planned(call)

    shown = call("dedupe", "--show", plan, "--group", "1", "--format", "json")

    group = json.loads(shown.out)["group"]
    values = dict(zip(group["columns"], group["members"][0]["values"], strict=True))
    assert [values[f"moment_{n}"] for n in range(5)] == [
        "infinity",
        "0044-03-15 BC",
        "20000-01-01 00:00:00",
        "1 day, 2:00:00",
        '["-infinity"]',
    ]


def test_values_that_django_would_read_as_none_or_false_are_shown_as_sqlite_holds_them(
    sqlite_ponies: Database, call: Call
) -> None:
    twins()
    for n, column in enumerate(
        ("datetime DEFAULT '99999-01-01'", "datetime DEFAULT 1577836800", "bool DEFAULT 'true'")
    ):
        sqlite_ponies.execute(f"ALTER TABLE ponies_pony ADD COLUMN odd_{n} {column}")

    shown = call("dedupe", "--show", planned(call), "--group", "1", "--format", "json")

    group = json.loads(shown.out)["group"]
    values = dict(zip(group["columns"], group["members"][0]["values"], strict=True))
    assert [values[f"odd_{n}"] for n in range(3)] == ["99999-01-01", "1577836800", "true"]


def test_a_plan_is_exported_row_by_row(ponies: Database, call: Call, tmp_path: Path) -> None:
    herd(3)
    Pony.all_objects.create(pk=100, name="foal", sire_id=3)
    plan = planned(call)

    rows = list(csv.DictReader(io.StringIO(call("dedupe", "--export", plan, "--format", "csv").out)))
    call("dedupe", "--export", plan, "--format", "json", "-o", str(tmp_path / "plan.json"))
    written = json.loads((tmp_path / "plan.json").read_text())

    assert [(row["group"], row["pk"], row["action"]) for row in rows[:6]] == [
        (str(n), str(2 * n + m), "remove" if m else "keep") for n in (1, 2, 3) for m in (0, 1)
    ]
    assert rows[6]["changes"] == "sire_id: 3 -> 2"
    assert [row["pk"] for row in written["rows"]] == [row["pk"] for row in rows]
    assert written["plan"]["redundant"] == 3
    assert list(tmp_path.iterdir()) == [tmp_path / "plan.json"]


def test_a_file_that_cannot_be_written_is_named(ponies: Database, call: Call, tmp_path: Path) -> None:
    twins()
    plan = planned(call)

    refused = call("dedupe", "--export", plan, "-o", str(tmp_path / "nowhere" / "plan.csv"))

    assert refused.code == 2
    assert "plan.csv" in refused.err


def test_an_export_into_a_pipe_is_read_from_it(sqlite_ponies: Database, call: Call, tmp_path: Path) -> None:
    twins()
    plan, pipe = planned(call), tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    written = call("dedupe", "--export", plan, "-o", str(pipe))

    assert written.code == 0, written.err
    assert os.read(reader, 1000).startswith(b"group,table")
    assert pipe.is_fifo()
    os.close(reader)


def test_an_export_writes_through_a_link_and_keeps_the_mode_of_the_file(
    sqlite_ponies: Database, call: Call, tmp_path: Path
) -> None:
    twins()
    plan, link, file = planned(call), tmp_path / "link.csv", tmp_path / "kept" / "plan.csv"
    file.parent.mkdir()
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)

    assert call("dedupe", "--export", plan, "-o", str(link)).code == 0

    assert link.is_symlink()
    assert file.read_text().startswith("group,table")
    assert file.stat().st_mode & 0o777 == 0o640


def test_an_export_touches_no_other_file_and_one_that_fails_leaves_none(
    sqlite_ponies: Database, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    twins()
    plan, file, mine = planned(call), tmp_path / "plan.csv", tmp_path / "plan.csv.part"
    file.write_text("old")
    mine.write_text("mine")
    monkeypatch.setattr("integrity.management.export._write_csv", full)

    refused = call("dedupe", "--export", plan, "-o", str(file))

    assert (refused.code, "No space left" in refused.err) == (2, True)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"plan.csv": "old", "plan.csv.part": "mine"}


def test_a_plan_is_revised_and_applied_in_one_go(ponies: Database, call: Call) -> None:
    herd(3)
    first = plan_of(call(*HERD, "--format", "json"))
    plan = ("dedupe", "--plan", str(first["id"]))

    revised = plan_of(call(*plan, "--exclude", "1", "--survivor", "2=5", "--format", "json"))
    stale = call(*plan, "--digest", first["digest"], *APPLY)
    applied = call(*plan, "--digest", revised["digest"], *APPLY)

    assert revised["digest"] != first["digest"]
    assert stale.code == 2
    assert "revised since" in stale.err
    assert applied.code == 1, "the excluded group is left"
    assert "excluded by hand" in applied.out
    assert names() == [2, 3, 5, 6]


def test_a_plan_is_applied_once(ponies: Database, call: Call) -> None:
    twins()
    plan = planned(call)
    call("dedupe", "--plan", plan, *APPLY)

    again = call("dedupe", "--plan", plan, *APPLY)

    assert again.code == 2
    assert "applied before by run 1" in again.err


def test_a_digest_is_asked_of_a_plan_that_is_only_shown_or_half_applied(ponies: Database, call: Call) -> None:
    herd(9)
    plan = planned(call)
    shown = call("dedupe", "--plan", plan, "--digest", "abc")
    interrupted_run(call, "--plan", plan)

    resumed = call("dedupe", "--plan", plan, "--digest", "abc", *APPLY)

    assert (shown.code, resumed.code) == (2, 2)
    assert "revised since" in shown.err
    assert len(names()) == 15


def test_a_plan_that_expired_says_when(ponies: Database, call: Call, settings: Any) -> None:
    settings.INTEGRITY_PLAN_EXPIRY = 0
    twins()
    plan = planned(call)

    late = call("dedupe", "--plan", plan, *APPLY)

    assert late.code == 2
    assert "expired on" in late.err
    assert "expired" in call("dedupe", "--list").out


@pytest.mark.parametrize(("use_tz", "zone"), [(True, " UTC:"), (False, ":")])
def test_no_time_is_said_to_be_utc_where_times_have_no_zone(
    ponies: Database, call: Call, settings: Any, use_tz: bool, zone: str
) -> None:
    twins()
    settings.USE_TZ = use_tz
    connections.close_all()

    shown = " ".join(call(*HERD).out.split())

    assert re.search(rf"until \d{{4}}-\d\d-\d\d \d\d:\d\d{zone} manage", shown), shown


def test_a_plan_that_a_later_run_has_overtaken_says_so_until_that_is_undone(ponies: Database, call: Call) -> None:
    twins()
    plan = planned(call)
    call(*HERD, *APPLY)

    overtaken = call("dedupe", "--plan", plan, *APPLY)
    call("undo_dedupe", "1")

    assert overtaken.code == 2
    assert "superseded: run 1" in overtaken.err
    assert call("dedupe", "--plan", plan, *APPLY).code == 0


def test_a_paused_run_stops_at_the_border_of_a_batch_and_is_resumed(ponies: Database, call: Call) -> None:
    herd(9)
    answers = []
    with at(batch_done, lambda: answers.append(call("dedupe", "--pause", "1"))):
        paused = call(*HERD, "--batch-size", "3", *APPLY)

    assert (answers[0].code, paused.code) == (0, 1)
    assert "--resume 1" in paused.out
    assert DedupeRun.objects.get().state == "paused"
    assert len(names()) == 15
    assert "is paused" in call(*HERD, *APPLY).err, "nobody but the one who paused it goes on"
    assert call("dedupe", "--resume", "1").code == 0
    assert len(names()) == 9


def test_what_to_do_next_is_told_for_the_database_at_hand(call: Call, other_ponies: str) -> None:
    herd(9)
    here = ("--database", other_ponies)
    with at(batch_done, lambda: call("dedupe", "--pause", "1", *here)):
        paused = call(*HERD, "--batch-size", "3", *APPLY, *here)

    busy = call(*HERD, *APPLY, *here).err
    unknown = [call(*words, *here).err for words in (("dedupe", "--show", "9"), ("undo_dedupe", "9"), ("undo_dedupe",))]

    for message in (paused.out, busy, *unknown):
        asked = " ".join(message.split())
        assert asked.count("manage.py") == asked.count("--database other") > 0, message


def test_a_cancelled_run_is_over_and_can_be_undone(ponies: Database, call: Call) -> None:
    herd(9)
    before = snapshot()
    with at(batch_done, lambda: call("dedupe", "--cancel", "1")):
        cancelled = call(*HERD, "--batch-size", "3", *APPLY)

    assert cancelled.code == 1
    assert "cancelled before its end" in cancelled.out
    assert len(names()) == 15
    assert call("dedupe", "--resume", "1").code == 2
    assert call("undo_dedupe", "1").code == 0
    assert snapshot() == before
    assert call(*HERD, *APPLY).code == 0
    assert len(names()) == 9


def too_many_twins() -> None:
    """More groups than a run leaves as they are because the database refuses them."""
    Pony.all_objects.bulk_create(Pony(pk=n, name=f"pair {(n + 1) // 2}") for n in range(1, 205))


def keep_all_ponies(database: Database) -> None:
    """Let the database refuse to delete a pony, as a stranger's trigger may."""
    if database.vendor == "sqlite":
        body = "BEFORE DELETE ON ponies_pony BEGIN SELECT RAISE(ABORT, 'ponies stay'); END"
        database.execute(f"CREATE TRIGGER stay {body}")
        return
    database.execute(
        "CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION USING ERRCODE = '23514', MESSAGE = 'ponies stay'; END $$"
    )
    database.execute("CREATE TRIGGER stay BEFORE DELETE ON ponies_pony FOR EACH ROW EXECUTE FUNCTION stay()")


@pytest.mark.slow
def test_a_run_that_the_database_refuses_says_how_to_go_on(ponies: Database, call: Call) -> None:
    too_many_twins()
    keep_all_ponies(ponies)

    refused = call(*HERD, *APPLY)

    assert refused.code == 2
    assert "ponies stay" in refused.err
    assert "then manage.py dedupe --resume 1; or end it where it is: manage.py dedupe --cancel 1" in refused.err


@pytest.mark.slow
def test_a_run_of_a_migration_is_finished_by_that(ponies: Database, call: Call) -> None:
    too_many_twins()
    keep_all_ponies(ponies)

    with pytest.raises(RunFailed) as failed:
        merge(ONE_NAME)

    assert "--resume" not in str(failed.value)
    assert "manage.py migrate; or end it where it is: manage.py dedupe --cancel 1" in str(failed.value)
    plan = str(DedupeRun.objects.get().plan_id)
    for arguments in (("--resume", "1"), ("--show", plan, "--group", "1")):
        refused = call("dedupe", *arguments)
        assert (refused.code, "manage.py migrate" in refused.err) == (2, True), refused.err


@pytest.mark.slow
def test_a_run_in_a_transaction_of_others_names_no_run_to_go_on_with(ponies: Database) -> None:
    too_many_twins()
    keep_all_ponies(ponies)

    with pytest.raises(RunFailed, match="ponies stay") as failed, transaction.atomic():
        merge(ONE_NAME)

    assert not DedupeRun.objects.exists()
    assert "manage.py" not in str(failed.value)
    assert "as if it had never begun" in str(failed.value)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_the_batch_end_and_the_run_go_on_later(
    ponies: Database, call: Call, number: signal.Signals, code: int
) -> None:
    herd(9)
    with at(batch_step, partial(os.kill, os.getpid(), number), step="locked"):
        stopped = call(*HERD, "--batch-size", "3", *APPLY)

    assert stopped.code == code
    assert "Nothing is lost" in stopped.err
    assert DedupeRun.objects.get().state == "interrupted"
    assert len(names()) == 15, "the batch under way was finished"
    assert call(*HERD, *APPLY).code == 0
    assert len(names()) == 9


def test_what_is_for_programs_is_one_document_though_a_run_is_resumed_first(ponies: Database, call: Call) -> None:
    herd(9)
    interrupted_run(call, *HERD[1:])
    Pony.all_objects.create(pk=100, name="pony 1", code="more")

    done = json.loads(call(*HERD, *APPLY, "--format", "json").out)

    assert (done["resumed"]["id"], done["resumed"]["state"], done["resumed"]["removed"]) == (1, "finished", 9)
    assert (done["run"]["id"], done["run"]["removed"]) == (2, 1)


def test_what_is_for_programs_is_one_document_though_somebody_answers(ponies: Database, call: Call) -> None:
    twins()
    plan = planned(call)

    applied = call("dedupe", "--plan", plan, "--apply", "--format", "json", input="y\n")

    assert json.loads(applied.out)["run"]["removed"] == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_takes_the_batch_back_and_ends_at_once(
    ponies: Database, call: Call, number: signal.Signals, code: int
) -> None:
    herd(9)
    send = partial(os.kill, os.getpid(), number)
    with at(batch_step, send, step="locked"), at(batch_step, send, step="removed"):
        stopped = call(*HERD, "--batch-size", "3", *APPLY)

    assert stopped.code == code
    assert DedupeRun.objects.get().state == "interrupted"
    assert len(names()) == 18
    assert call("dedupe", "--resume", "1").code == 0
    assert len(names()) == 9


def test_a_group_of_an_applied_plan_tells_where_its_rows_are_and_refuses_nothing(ponies: Database, call: Call) -> None:
    herd(2)
    plan = planned(call)
    call("dedupe", "--plan", plan, *APPLY)

    shown = " ".join(call("dedupe", "--show", plan, "--group", "1").out.split())

    assert "Row 3 is not there any more. Where each of them went: manage.py where_is ID" in shown
    assert "refused" not in shown


def test_an_undo_names_the_rows_that_are_in_its_way(ponies: Database, call: Call) -> None:
    herd(7)
    assert call(*HERD, *APPLY).code == 0
    Pony.all_objects.filter(pk=2).update(foaled=9)
    Pony.all_objects.filter(pk=4).update(foaled=9)
    Pony.all_objects.create(pk=7, name="another")

    tried, undone = (" ".join(call("undo_dedupe", "1", *words).out.split()) for words in (("--dry-run",), ()))

    for out in (tried, undone):
        assert re.search(r"changed or deleted since \(for example row 2 in group \d; row 4 in group \d\)", out), out
        assert re.search(r"same primary key is there again \(for example row 7 in group \d\)", out), out


def test_a_plan_of_so_many_groups_says_that_there_may_be_more(ponies: Database, call: Call) -> None:
    herd(3)

    some, all_of_them = (" ".join(call(*HERD, "--limit", str(n)).out.split()) for n in (2, 4))

    assert "duplicate groups 2 rows that share a key; there may be more" in some
    assert "there may be more" not in all_of_them


def test_a_run_that_is_not_to_be_verified_says_what_will_prove_it(ponies: Database, call: Call) -> None:
    herd(3)

    done = call(*HERD, *APPLY, "--no-verify")

    assert done.code == 0
    assert "a unique constraint will prove" in done.out
    assert "Verified" not in done.out
    assert names() == [2, 4, 6]


def test_a_refused_group_counts_even_if_nobody_verifies(ponies: Database, call: Call) -> None:
    herd(3)
    plan = planned(call)
    Pony.all_objects.filter(pk=3).update(foaled=9)

    assert call("dedupe", "--plan", plan, *APPLY, "--no-verify").code == 1


def test_a_plan_shows_what_survivors_are_filled_with(ponies: Database, call: Call) -> None:
    herd(2)
    plan = planned(call, "--merge", "foaled=max")

    shown = call("dedupe", "--show", plan)
    group = call("dedupe", "--show", plan, "--group", "1")

    assert re.search(r"filled survivors +2 ", shown.out), shown.out
    assert "The plan fills foaled of the row that stays: 0 becomes 1." in group.out


def test_a_group_that_was_left_out_says_so_and_is_not_filled(ponies: Database, call: Call) -> None:
    herd(2)
    plan = planned(call, "--merge", "foaled=max")
    call("dedupe", "--plan", plan, "--exclude", "1")

    group = call("dedupe", "--show", plan, "--group", "1")

    assert "The plan leaves it as it is: excluded by hand." in group.out
    assert "stays" not in group.out


@pytest.mark.parametrize(("undone", "possible"), [(False, "manage.py undo_dedupe 1"), (True, "a new plan and run.")])
def test_what_a_run_cannot_do_comes_with_what_it_can(ponies: Database, call: Call, undone: bool, possible: str) -> None:
    herd(1)
    call(*HERD, *APPLY)
    if undone:
        call("undo_dedupe", "1")

    result = call("dedupe", "--pause", "1")

    assert result.code == 2
    assert f"it cannot become paused. Possible now: {possible}" in result.err


def test_missing_indexes_are_shown_with_their_cost_and_built_on_demand(ponies: Database, call: Call) -> None:
    herd(3)
    ponies.execute("DROP INDEX " + _index_on(ponies, "ponies_pony", "sire_id"))
    Pony.all_objects.create(pk=100, name="foal", sire_id=3)

    plan = planned(call)
    shown = call("dedupe", "--show", plan)
    applied = call("dedupe", "--plan", plan, "--build-indexes", *APPLY)

    assert "no index on (sire_id)" in " ".join(shown.out.split()), shown.out
    assert applied.code == 0, applied.err
    assert _index_on(ponies, "ponies_pony", "sire_id") == "integrity_ponies_pony_sire_id"
    assert Pony.all_objects.get(pk=100).sire_id == 2
    assert DedupePlan.objects.get(pk=plan).document["references"][0]["indexed"]


def test_a_column_that_may_refer_to_several_tables_is_named_once_and_built_once(ponies: Database, call: Call) -> None:
    first, second = twins()
    show = Show.objects.create(name="Olympia")
    won, lost = (Ribbon.objects.create(pony=pony, show=show) for pony in (first, second))
    for about in (second, lost):
        Remark.objects.create(about=about, text="loud")

    plan = planned(call)
    shown = call("dedupe", "--show", plan)
    applied = call("dedupe", "--plan", plan, "--build-indexes", *APPLY)

    assert "ponies_remark has no index on (about_id):" in " ".join(shown.out.split()), shown.out
    assert applied.code == 0, applied.err
    assert applied.err.count("on ponies_remark") == 1
    assert {remark.about for remark in Remark.objects.all()} == {first, won}


def _index_on(database: Database, table: str, column: str) -> str:
    if database.vendor == "sqlite":
        found = database.execute(
            "SELECT l.name FROM pragma_index_list(?) AS l, pragma_index_info(l.name) AS i WHERE i.name = ?",
            (table, column),
        )
    else:
        found = database.execute(
            "SELECT indexname FROM pg_indexes WHERE tablename = %s AND indexdef LIKE %s", (table, f"%({column})")
        )
    return str(found[0][0])
