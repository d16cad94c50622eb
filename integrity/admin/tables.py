"""Pages on tables that may be absent from the database, and that nobody changes here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import OperationalError, router
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from integrity.admin.paging import EstimatedPaginator
from integrity.backends import UnsupportedDatabase, get_catalogue

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin


class ReadOnlyAdmin(_ModelAdmin):
    """Shows the rows of one table; hides itself where the database has no such table."""

    paginator = EstimatedPaginator
    show_full_result_count = False
    # Counting the rows behind each filter would read the whole table.
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    actions = None

    @property
    def using(self) -> str:
        """The alias of the database that holds the table."""
        return router.db_for_read(self.model)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """Return no permission at all for an absent table: the index then leaves it out."""
        return super().get_model_perms(request) if self._is_there(request) else {}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return self.absent(request) or super().changelist_view(request, extra_context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return self.absent(request) or super().change_view(request, object_id, form_url, extra_context)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return self.absent(request) or super().history_view(request, object_id, extra_context)

    def absent(self, request: HttpRequest) -> HttpResponse | None:
        """Return a page that says so, with status 404, where the table is absent; else None.

        Raises:
            PermissionDenied: the user may not see the table's rows.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        if self._is_there(request):
            return None
        return self.page(request, "integrity/admin/absent.html", title=f"No table {self.opts.db_table}", status=404)

    def page(
        self, request: HttpRequest, template: str, *, title: str, status: int = 200, **context: Any
    ) -> TemplateResponse:
        """Return a page of the admin site."""
        request.current_app = self.admin_site.name
        known = {**self.admin_site.each_context(request), "opts": self.opts, "title": title, "using": self.using}
        return TemplateResponse(request, template, {**known, **context}, status=status)

    def _is_there(self, request: HttpRequest) -> bool:
        return has_table(request, self.opts.db_table, using=self.using)


def has_table(request: HttpRequest, table: str, *, using: str) -> bool:
    """Whether a database has a model's table."""
    if '"."' in table:  # how a model names a schema that is not searched
        return bool(get_catalogue(using=using).columns(table))
    return table in tables_of(request, using=using)


def tables_of(request: HttpRequest, *, using: str) -> frozenset[str]:
    """Return the names of a database's tables, asked for once in a request; none where it cannot be reached."""
    known: dict[str, frozenset[str]] = request.__dict__.setdefault("_integrity_tables", {})
    if using not in known:
        try:
            known[using] = get_catalogue(using=using).tables()
        except (OperationalError, UnsupportedDatabase) as error:
            known[using] = frozenset()
            messages.error(request, f"Database {using!r} cannot be read: {' '.join(str(error).split())}")
    return known[using]
