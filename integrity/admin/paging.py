"""Pages of tables too large to be counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.paginator import Paginator
from django.utils.functional import cached_property

from integrity.backends import get_catalogue

if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator

COUNTED = 10_000
"""Up to so many rows are counted one by one."""


class EstimatedPaginator(_Paginator):
    """Counts exactly up to ``COUNTED`` rows, and estimates a whole table beyond that.

    A filtered list that is longer ends at ``COUNTED``: to count it would mean to read it.
    """

    cut = False
    """Whether there are more rows than ``count`` says."""

    @cached_property
    def count(self) -> int:
        """Return the number of rows: exact, estimated, or ``COUNTED`` for "at least so many"."""
        rows: Any = self.object_list
        counted = int(rows.order_by()[: COUNTED + 1].count())
        if counted <= COUNTED:
            return counted
        if rows.query.where:
            self.cut = True
            return COUNTED
        return max(COUNTED, get_catalogue(using=rows.db).row_estimate(rows.model._meta.db_table))
