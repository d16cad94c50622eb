"""The tables in somebody's database, the site's users, sessions and log in another: everything works there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.databases import Database

WALK = """
import json
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from integrity.dedupe import apply_plan, make_plan
from integrity.demo.data import make_dirty_data
from integrity.models import Embedding
from integrity.rules.embeddings import EMBEDDINGS

make_dirty_data(using="default")
plan = make_plan(EMBEDDINGS, apps=apps, using="default")
run = apply_plan(plan.id, EMBEDDINGS, apps=apps, using="default")
row = Embedding.objects.all()[0]
clerk = User.objects.create_user("clerk", is_staff=True)
clerk.user_permissions.set(Permission.objects.filter(content_type__app_label="integrity"))
browser = Client(SERVER_NAME="localhost")
browser.force_login(clerk)
paths = [
    "", "embedding/", f"embedding/?q={row.pk}", "embedding/?duplicates=embeddings", f"embedding/{row.pk}/change/",
    f"embedding/{row.pk}/history/", f"embedding/{row.pk}/duplicates/", "dedupeplan/", f"dedupeplan/{plan.id}/change/",
    f"dedupeplan/{plan.id}/groups/1/", "deduperun/", f"deduperun/{run.id}/change/", f"deduperun/{run.id}/removed/",
    f"deduperun/{run.id}/undo/",
]
codes = {path: browser.get(f"/admin/integrity/{path}").status_code for path in paths}
undone = browser.post(f"/admin/integrity/deduperun/{run.id}/undo/", follow=True)
codes["history"] = browser.get(f"/admin/integrity/deduperun/{run.id}/history/").status_code
print(json.dumps({
    "codes": codes,
    "said": "Run 1 is undone: 50 rows came back" in undone.content.decode(),
    "log": [entry.user.username for entry in LogEntry.objects.using("site")],
    "embeddings": Embedding.objects.count(),
}))
"""


@pytest.mark.slow
def test_every_page_and_undo_work_with_the_site_in_another_database(empty_database: Database, tmp_path: Path) -> None:
    site = {"SITE_DATABASE_URL": f"sqlite:///{tmp_path}/site.sqlite3"}
    for arguments in (("integrity", "0001"), ("--database", "site")):
        migrated = empty_database.manage("migrate", *arguments, "-v0", env=site)
        assert (migrated.returncode, migrated.stderr) == (0, "")

    walked = empty_database.manage("shell", "-v0", "-c", WALK, env=site)

    assert walked.returncode == 0, walked.stderr
    result = json.loads(walked.stdout)
    assert set(result["codes"].values()) == {200}, result["codes"]
    assert result["said"]
    assert (result["log"], result["embeddings"]) == (["clerk"], 326)
