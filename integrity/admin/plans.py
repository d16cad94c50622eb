"""Plans: what was decided, group by group. Read-only; a plan is made and applied by ``manage.py dedupe``."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path

from integrity.admin.access import may_see_table
from integrity.admin.sidebyside import side_by_side
from integrity.admin.tables import ReadOnlyAdmin
from integrity.dedupe import UnknownGroup, UnknownPlan, inspect_planned_group, summarize_plan
from integrity.exceptions import IntegrityAppError
from integrity.rules.wording import rule_of


class DedupePlanAdmin(ReadOnlyAdmin):
    """The plans of one database."""

    list_display = ("id", "rule", "table", "state", "groups", "redundant", "created_at", "expires_at")
    fields = ("id", "rule", "model", "table", "state", "digest", "created_at", "expires_at")
    ordering = ("-id",)
    change_form_template = "integrity/admin/plan.html"

    @admin.display(description="groups")
    def groups(self, plan: Any) -> Any:
        return plan.document.get("counts", {}).get("groups")

    @admin.display(description="redundant rows")
    def redundant(self, plan: Any) -> Any:
        return plan.document.get("counts", {}).get("redundant")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.group_view)
        own = path("<int:plan_id>/groups/<int:number>/", view, name="integrity_dedupeplan_group")
        return [own, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Add what the plan says of rows and references."""
        context: dict[str, Any] = {}
        plan_id = unquote(object_id)
        if plan_id.isdecimal() and not self.absent(request):
            try:
                summary = summarize_plan(int(plan_id), apps=apps, using=self.using)
                context |= {"summary": summary, "may_see_rows": may_see_table(request.user, summary.table)}
            except IntegrityAppError as error:
                context["fault"] = str(error)
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def group_view(self, request: HttpRequest, plan_id: int, number: int) -> HttpResponse:
        """Show a group of a plan, its rows as they are now.

        Raises:
            PermissionDenied: the user may not see plans, or not the rows of this table.
            Http404: there is no such plan, or it has no such group.
        """
        if absent := self.absent(request):
            return absent
        plan = self.get_object(request, str(plan_id))
        if plan is None:
            raise Http404(f"There is no plan {plan_id}.")
        if not may_see_table(request.user, plan.table):
            raise PermissionDenied
        context: dict[str, Any] = {"plan": plan, "number": number, "groups": self.groups(plan)}
        try:
            rule = rule_of(name=plan.rule, wording=plan.document.get("wording", {}))
            group = inspect_planned_group(rule, plan=plan_id, number=number, apps=apps, using=self.using)
            context |= side_by_side(group, apps.get_model(plan.model), site=self.admin_site.name)
        except (UnknownPlan, UnknownGroup) as error:
            raise Http404(str(error)) from error
        except IntegrityAppError as error:
            context["fault"] = str(error)
        return self.page(request, "integrity/admin/planned.html", title=f"Group {number} of {plan}", **context)
