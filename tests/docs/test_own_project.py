"""The README's rule, migration and writer work, as they are printed, in a Django project of somebody's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from project.local import CHECKOUT
from tests.databases import Database

SETTINGS = """
from project.databases import parse

SECRET_KEY = "x"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["integrity", "billing"]
DATABASES = {{"default": parse({url!r}, variable="url", sqlite_engine="django.db.backends.sqlite3")}}
"""
MODELS = """
from django.db import models


class Customer(models.Model):
    email = models.CharField(max_length=200)
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["email"], name="unique_customer_email")]


class Invoice(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
"""
INITIAL = """
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Customer", [
            ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ("email", models.CharField(max_length=200)),
            ("updated_at", models.DateTimeField()),
        ]),
        migrations.CreateModel("Invoice", [
            ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ("customer", models.ForeignKey("billing.Customer", on_delete=django.db.models.deletion.CASCADE)),
        ]),
    ]
"""
STORY = """
import django

django.setup()

from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.utils.timezone import now

from billing.models import Customer, Invoice


def rows():
    return list(Customer.objects.order_by("pk").values()), list(Invoice.objects.order_by("pk").values())


def exit_code(*command):
    try:
        call_command(*command)
    except SystemExit as end:
        return end.code
    return 0


call_command("migrate", "integrity", verbosity=0)
call_command("migrate", "billing", "0001", verbosity=0)
for _ in range(2):
    customer = Customer.objects.create(email="one@example.com", updated_at=now())
    Invoice.objects.create(customer=customer)
before = rows()
assert exit_code("audit", "--tag", "duplicates") == 1
assert exit_code("dedupe", "customers") == 0

call_command("migrate", "billing", verbosity=0)
assert [row["id"] for row in rows()[0]] == [customer.pk], "the latest stays"
assert Invoice.objects.filter(customer=customer).count() == 2
assert exit_code("audit") == 0
call_command("makemigrations", "billing", check_changes=True, dry_run=True, verbosity=0)
try:
    with transaction.atomic():
        Customer.objects.create(email="one@example.com", updated_at=now())
except IntegrityError:
    pass
else:
    raise AssertionError("a duplicate got in")

from billing.writers import store_customers

newest = {"email": "one@example.com", "updated_at": now()}
assert store_customers([newest]).updated == (customer.pk,)
assert store_customers([newest]).unchanged == (customer.pk,)
assert store_customers([{**newest, "updated_at": customer.updated_at}]).stale == (customer.pk,)
customer.save()

call_command("migrate", "billing", "0001", verbosity=0)
assert exit_code("undo_dedupe", "1") == 0
assert rows() == before
assert not {"embedding", "course_files"} & set(connection.introspection.table_names())
"""


def from_the_readme(marker: str) -> str:
    """The one block of Python that holds ``marker``."""
    blocks = re.findall(r"^ *```python\n(.*?)^ *```$", (CHECKOUT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    [found] = [block for block in blocks if marker in block]
    return textwrap.dedent(found)


@pytest.fixture
def own_project(empty_database: Database, tmp_path: Path) -> Path:
    """A project with one app, its rule and migration taken from the README."""
    files = {
        "settings.py": SETTINGS.format(url=empty_database.url),
        "billing/__init__.py": "",
        "billing/models.py": MODELS,
        "billing/rules.py": from_the_readme("register("),
        "billing/migrations/__init__.py": "",
        "billing/migrations/0001_initial.py": INITIAL,
        "billing/migrations/0002_unique.py": from_the_readme("class Migration"),
        "billing/writers.py": from_the_readme("upsert("),
        "story.py": STORY,
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_strangers_table_is_audited_cleaned_constrained_and_brought_back(own_project: Path) -> None:
    told = subprocess.run(
        [sys.executable, "story.py"],
        cwd=own_project,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": f"{own_project}:{CHECKOUT}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (told.returncode, told.stderr) == (0, ""), told.stdout
