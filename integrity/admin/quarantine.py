"""The rows that a run removed and still keeps, page by page."""

from __future__ import annotations

from django.apps import apps
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse

from integrity.admin.access import visible_tables
from integrity.admin.tables import ReadOnlyAdmin
from integrity.dedupe import quarantines_of, removed_rows
from integrity.dedupe.removed import ROWS_PER_PAGE


class RemovedRowsMixin(ReadOnlyAdmin):
    """Adds the view to the pages of runs."""

    def removed_view(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Show the rows removed from one table (``?table=``, by default the rule's own), ``?page=`` from 1.

        Raises:
            PermissionDenied: the user may not see runs, or not the rows of this table.
            Http404: there is no such run, or it keeps nothing of such a table.
        """
        if absent := self.absent(request):
            return absent
        run = self.get_object(request, str(run_id))
        if run is None:
            raise Http404(f"There is no run {run_id}.")
        kept = quarantines_of(run_id, apps=apps, using=self.using)
        context = {"run": run, "quarantines": kept}
        if kept:
            context["visible"] = visible = visible_tables(request.user, kept)
            # Of those that the user may see, the rule's own table comes first.
            first = min(kept, key=lambda quarantine: (quarantine.table not in visible, quarantine.table != run.table))
            wanted = request.GET.get("table", first.name)
            chosen = next((quarantine for quarantine in kept if quarantine.name == wanted), None)
            number = _page_number(request)
            if chosen is None or number is None:
                raise Http404(f"Run {run_id} keeps no such rows.")
            if chosen.table not in visible:
                raise PermissionDenied
            context["chosen"] = chosen
            context["rows"] = removed_rows(chosen, run_id=run_id, number=number, using=self.using)
            context["pages"] = -(-chosen.rows // ROWS_PER_PAGE)
        return self.page(request, "integrity/admin/removed.html", title=f"Rows removed by {run}", **context)


def _page_number(request: HttpRequest) -> int | None:
    given = request.GET.get("page", "1")
    return int(given) if given.isascii() and given.isdecimal() and 0 < int(given) < 10**9 else None
