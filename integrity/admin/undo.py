"""Undo of a run: first what it would bring back and what not, then, once confirmed, the undo itself."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from integrity.admin.tables import ReadOnlyAdmin
from integrity.backends.faults import explain
from integrity.dedupe import UndoSummary, undo_run
from integrity.exceptions import IntegrityAppError


class UndoMixin(ReadOnlyAdmin):
    """Adds the view to the pages of runs."""

    def may_undo(self, request: HttpRequest) -> bool:
        """Whether the user may undo runs: runs are never edited, so this is what permission to change them means."""
        return request.user.has_perm("integrity.change_deduperun")

    def undo_view(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Show what an undo would do; with POST, do it and return to the run.

        Raises:
            PermissionDenied: the user may not undo runs.
            Http404: there is no such run.
        """
        if absent := self.absent(request):
            return absent
        if not self.may_undo(request):
            raise PermissionDenied
        run = self.get_object(request, str(run_id))
        if run is None:
            raise Http404(f"There is no run {run_id}.")
        if request.method == "POST":
            self._undo(request, run)
            return HttpResponseRedirect(reverse(f"{self.admin_site.name}:integrity_deduperun_change", args=[run_id]))
        summary, fault = self._attempt(run_id, dry_run=True)
        return self.page(
            request, "integrity/admin/undo.html", title=f"Undo {run}", run=run, summary=summary, fault=fault
        )

    def _undo(self, request: HttpRequest, run: Any) -> None:
        summary, fault = self._attempt(run.pk, dry_run=False)
        if summary is None:
            messages.error(request, fault)
            return
        said = f"{summary.restored} rows came back, {summary.repointed} references point where they pointed before."
        self.log_change(request, run, f"Undo: {said} The run is {summary.state}.")
        for kept in summary.kept:
            messages.warning(request, f"{kept}.")
        if summary.refused:
            reasons = "; ".join(f"{refusal.groups} groups: {refusal.reason}" for refusal in summary.refused)
            messages.warning(request, f"Run {run.pk} is {summary.state}: {said} Not undone: {reasons}.")
        else:
            messages.success(request, f"Run {run.pk} is {summary.state}: {said}")

    def _attempt(self, run_id: int, *, dry_run: bool) -> tuple[UndoSummary | None, str]:
        """Undo, or try it out; return what came of it, or why nothing could."""
        try:
            return undo_run(run_id, apps=apps, using=self.using, dry_run=dry_run), ""
        except IntegrityAppError as error:
            return None, str(error)
        except (DatabaseError, InterfaceError) as error:
            fault = explain(error, using=self.using)
            if fault is None:
                raise
            return None, fault.message
