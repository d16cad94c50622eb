"""NaiveDateTimeField: naive in, naive out, on both databases, in any time zone, without a warning."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Any

import pytest
from django import forms
from django.contrib.admin.widgets import AdminSplitDateTime
from django.core.exceptions import ValidationError
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from integrity.models import WorkflowExecution
from integrity.models.fields import NaiveDateTimeField, uuid7
from tests.databases import Database

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
NOON = datetime.datetime(2025, 7, 1, 12, 0, 0, 123456)


def an_execution(**kwargs: Any) -> WorkflowExecution:
    return WorkflowExecution.objects.create(
        workflow_id="w", workflow_type="t", entity_type="e", entity_id=uuid7(), **kwargs
    )


@pytest.mark.parametrize("current", [datetime.UTC, BERLIN])
def test_a_naive_value_is_stored_and_read_as_it_is(database: Database, current: datetime.tzinfo) -> None:
    with timezone.override(current):
        an_execution(created_at=NOON)

        assert WorkflowExecution.objects.get(created_at=NOON).created_at == NOON

    ((stored,),) = database.execute("SELECT created_at FROM workflow_executions")
    assert str(stored) == "2025-07-01 12:00:00.123456"


def test_an_aware_value_is_stored_as_its_wall_clock_in_utc(database: Database) -> None:
    an_execution(created_at=datetime.datetime(2025, 7, 1, 14, 0, tzinfo=BERLIN))

    assert WorkflowExecution.objects.get().created_at == datetime.datetime(2025, 7, 1, 12, 0)


def test_values_can_be_compared_and_taken_apart(database: Database) -> None:
    an_execution(created_at=NOON, completed_at=NOON + datetime.timedelta(hours=1))

    assert WorkflowExecution.objects.filter(created_at__lt=NOON + datetime.timedelta(seconds=1)).exists()
    assert WorkflowExecution.objects.filter(created_at__year=2025).exists()
    assert not WorkflowExecution.objects.filter(completed_at__lte=NOON).exists()
    assert list(WorkflowExecution.objects.values_list("started_at", "created_at")) == [(None, NOON)]


def test_the_default_is_the_present_in_utc(database: Database) -> None:
    before = datetime.datetime.now(tz=datetime.UTC).replace(tzinfo=None)

    assert before <= an_execution().created_at <= before + datetime.timedelta(minutes=1)


def test_auto_now_is_the_present_in_utc() -> None:
    field = NaiveDateTimeField(auto_now=True)
    field.set_attributes_from_name("created_at")
    execution = WorkflowExecution(created_at=NOON)

    saved = field.pre_save(execution, add=False)

    assert saved.tzinfo is None
    assert saved > NOON


@given(st.datetimes(timezones=st.just(BERLIN) | st.just(datetime.UTC)))
def test_the_wall_clock_in_utc_is_the_same_moment(moment: datetime.datetime) -> None:
    found = NaiveDateTimeField().get_prep_value(moment)

    assert found.replace(tzinfo=datetime.UTC) == moment.astimezone(datetime.UTC)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("2025-07-01 12:00:00.123456", NOON),
        ("2025-07-01T14:00:00.123456+02:00", NOON),
        ("2025-07-01", datetime.datetime(2025, 7, 1)),
        (datetime.date(2025, 7, 1), datetime.datetime(2025, 7, 1)),
        (None, None),
    ],
)
def test_texts_and_dates_become_naive_datetimes(value: Any, found: datetime.datetime | None) -> None:
    assert NaiveDateTimeField().to_python(value) == found


def test_a_text_that_is_no_date_is_refused() -> None:
    with pytest.raises(ValidationError):
        NaiveDateTimeField().to_python("yesterday")


def test_a_form_does_not_shift_the_value_even_as_the_admin_asks_for_it() -> None:
    field = NaiveDateTimeField().formfield(form_class=forms.SplitDateTimeField, widget=AdminSplitDateTime)

    with timezone.override(BERLIN):
        shown = field.prepare_value(NOON)
        typed = field.clean("2025-07-01 12:00:00.123456")

    assert shown == NOON
    assert NaiveDateTimeField().to_python(typed) == NOON
