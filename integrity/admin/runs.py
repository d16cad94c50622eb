"""Runs: what was done, what is kept of it, and the way back."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from integrity.admin.access import visible_tables
from integrity.admin.cells import link_to
from integrity.admin.quarantine import RemovedRowsMixin
from integrity.admin.tables import ReadOnlyAdmin
from integrity.admin.undo import UndoMixin
from integrity.dedupe import quarantines_of, summarize_run
from integrity.dedupe.states import UNDOABLE
from integrity.exceptions import IntegrityAppError
from integrity.models import DedupePlan


class DedupeRunAdmin(RemovedRowsMixin, UndoMixin, ReadOnlyAdmin):
    """The runs of one database, with a page for the rows that each removed and one to undo it."""

    list_display = ("id", "rule", "table", "state", "removed", "repointed", "started_at", "finished_at")
    list_select_related = ()
    fields = ("id", "rule", "table", "state", "planned", "started_at", "updated_at", "finished_at")
    readonly_fields = ("planned",)
    ordering = ("-id",)
    change_form_template = "integrity/admin/run.html"

    @admin.display(description="removed rows")
    def removed(self, run: Any) -> int:
        return int(run.counts.get("removed", 0))

    @admin.display(description="repointed references")
    def repointed(self, run: Any) -> int:
        return int(run.counts.get("repointed", 0))

    @admin.display(description="plan")
    def planned(self, run: Any) -> SafeString | str:
        return link_to(DedupePlan, run.plan_id, site=self.admin_site.name)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:run_id>/removed/", wrap(self.removed_view), name="integrity_deduperun_removed"),
            path("<int:run_id>/undo/", wrap(self.undo_view), name="integrity_deduperun_undo"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Add what the run did, what it refused, and what is kept of it."""
        context: dict[str, Any] = {}
        run = None if self.absent(request) else self.get_object(request, unquote(object_id))
        if run is not None:
            context["may_undo"] = self.may_undo(request) and run.state in UNDOABLE
            try:
                context["summary"] = summarize_run(run.pk, apps=apps, using=self.using)
                context["quarantines"] = kept = quarantines_of(run.pk, apps=apps, using=self.using)
                context["visible"] = visible_tables(request.user, kept)
            except IntegrityAppError as error:
                context["fault"] = str(error)
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})
