"""Timestamps without a time zone, as the originals write them."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

if TYPE_CHECKING:
    _DateTimeField = models.DateTimeField[Any, Any]
else:
    _DateTimeField = models.DateTimeField


def naive_utc_now() -> datetime.datetime:
    """Return the present moment in UTC, without a time zone."""
    return datetime.datetime.now(tz=datetime.UTC).replace(tzinfo=None)


class NaiveDateTimeFormField(forms.DateTimeField):
    """Reads what was typed as it stands, whatever the current time zone is."""

    def to_python(self, value: Any) -> datetime.datetime | None:
        """Parse in UTC, so that the wall clock that was typed is the one that is stored."""
        with timezone.override(datetime.UTC):
            return super().to_python(value)


class NaiveDateTimeField(_DateTimeField):
    """``timestamp without time zone`` (DATETIME on SQLite): naive in, naive out, ``USE_TZ`` or not.

    An aware value is stored as its UTC wall clock.
    """

    description = "Date and time without a time zone"

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """Django's type for date and time, without its time zone."""
        kind = super().db_type(connection)
        return kind and kind.replace("with time zone", "without time zone")

    def from_db_value(
        self, value: datetime.datetime | None, _expression: Any, connection: BaseDatabaseWrapper
    ) -> datetime.datetime | None:
        """Take away the time zone that Django's SQLite backend has added."""
        if value is None or timezone.is_naive(value):
            return value
        return timezone.make_naive(value, connection.timezone)

    def to_python(self, value: Any) -> datetime.datetime | None:
        """Return a naive datetime for anything that Django's field would take.

        Raises:
            ValidationError: the text is no date and time.
        """
        if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
            value = datetime.datetime(value.year, value.month, value.day)
        value = super().to_python(value)
        if value is not None and timezone.is_aware(value):
            return timezone.make_naive(value, datetime.UTC)
        return value  # type: ignore[no-any-return]

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Return the value to be saved; ``auto_now`` and ``auto_now_add`` mean the UTC wall clock."""
        if self.auto_now or (self.auto_now_add and add):
            setattr(model_instance, self.attname, naive_utc_now())
        return getattr(model_instance, self.attname)

    def get_prep_value(self, value: Any) -> Any:
        """Return the naive value; Django's own method would warn of it and make it aware."""
        return self.to_python(models.Field.get_prep_value(self, value))

    def formfield(self, **kwargs: Any) -> Any:
        """Return a form field that does not shift the value; the admin's split widget does."""
        kwargs.update(form_class=NaiveDateTimeFormField, widget=forms.DateTimeInput)
        return super().formfield(**kwargs)
