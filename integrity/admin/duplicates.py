"""What rules add to the pages of a model: the filter "has duplicates", and one group's rows side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db import router
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import select_template
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from integrity.admin.access import visible_part
from integrity.admin.sidebyside import side_by_side
from integrity.admin.tables import has_table
from integrity.dedupe import DedupeRule, UnknownRow, inspect_group, with_duplicates
from integrity.dedupe.rule import Key
from integrity.exceptions import IntegrityAppError
from integrity.rules import active_rules

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin

PARAMETER = "duplicates"


def rules_of(model: Any) -> tuple[DedupeRule, ...]:
    """Return the active rules for a model."""
    return tuple(rule for rule in active_rules() if rule.model.lower() == model._meta.label_lower)


class DuplicatesFilter(admin.SimpleListFilter):
    """Rows that share a rule's key with another row."""

    title = "duplicates"
    parameter_name = PARAMETER

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(rule.name, f"Has duplicates ({rule.name})") for rule in rules_of(model_admin.model)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rule = next((rule for rule in rules_of(queryset.model) if rule.name == self.value()), None)
        if rule is None:
            return queryset
        try:
            return queryset.filter(with_duplicates(rule, apps=apps, using=queryset.db))
        except IntegrityAppError as error:
            messages.error(request, str(error))
            return queryset.none()


class DuplicatesMixin(_ModelAdmin):
    """For the ``ModelAdmin`` of any model that a rule speaks of."""

    change_form_template = "integrity/admin/row.html"

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        """Add the filter where a rule speaks of the model."""
        return [*super().get_list_filter(request), *([DuplicatesFilter] if rules_of(self.model) else [])]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Add a link to the group, as the second column, while only duplicates are listed."""
        first, *others = super().get_list_display(request)
        rule = self._filtered_by(request)
        return [first, *([self._compare(rule)] if rule else []), *others]

    def get_ordering(self, request: HttpRequest) -> Any:
        """Put the rows of one group next to each other while only duplicates are listed."""
        rule = self._filtered_by(request)
        if rule is None:
            return super().get_ordering(request)
        key = Key.of_rule(rule, self.model).fields
        return [*(field.attname for field in self.opts.concrete_fields if field.name in key), "pk"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.duplicates_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_duplicates"
        return [path("<path:object_id>/duplicates/", view, name=name), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Add a link to the group of each rule."""
        links = [(rule.name, self._url(unquote(object_id), rule)) for rule in rules_of(self.model)]
        return super().change_view(request, object_id, form_url, {"duplicates": links, **(extra_context or {})})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Put the links on the page that it would be without this class: packages and projects have their own."""
        app, model = self.opts.app_label, self.opts.model_name
        usual = [f"admin/{app}/{model}/change_form.html", f"admin/{app}/change_form.html", "admin/change_form.html"]
        own: Any = super().change_form_template or usual
        context["form_template"] = select_template([own] if isinstance(own, str) else own)
        return super().render_change_form(request, context, *args, **kwargs)

    def duplicates_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the rows that share a rule's key with this one (``?rule=``, by default the first rule).

        Of both, those alone that ``get_queryset`` and ``has_view_permission`` show to the user.

        Raises:
            PermissionDenied: the user may not see the model's rows, or not this one.
            Http404: there is no such row for the user, or no such rule for the model.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        rules = rules_of(self.model)
        rule = next((rule for rule in rules if rule.name == request.GET.get("rule", rule.name)), None)
        if rule is None:
            raise Http404("There is no such rule for this model.")
        using = router.db_for_read(self.model)
        if not has_table(request, self.opts.db_table, using=using):
            raise Http404(f"Database {using!r} has no table {self.opts.db_table}.")
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404(f"There is no {self.opts.verbose_name} {unquote(object_id)!r}.")
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        shown, fault = {}, ""
        try:
            group = inspect_group(rule, pk=row.pk, apps=apps, using=using)
            visible = visible_part(group, pages=self, request=request)
            withheld = len(group.members) - len(visible.members)
            shown = side_by_side(visible, self.model, site=self.admin_site.name, withheld=withheld)
        except UnknownRow as error:
            raise Http404(str(error)) from error
        except IntegrityAppError as error:
            fault = str(error)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Duplicates of {unquote(object_id)}",
            "object_id": unquote(object_id),
            "rule": rule,
            "fault": fault,
            **shown,
        }
        return TemplateResponse(request, "integrity/admin/duplicates.html", context)

    def _filtered_by(self, request: HttpRequest) -> DedupeRule | None:
        return next((rule for rule in rules_of(self.model) if rule.name == request.GET.get(PARAMETER)), None)

    def _compare(self, rule: DedupeRule) -> Any:
        @admin.display(description="group")
        def compare(row: Any) -> SafeString | None:
            # An empty text has no address, neither here nor among Django's own links.
            return format_html('<a href="{}">compare</a>', self._url(row.pk, rule)) if row.pk != "" else None

        return compare

    def _url(self, pk: Any, rule: DedupeRule) -> str:
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_duplicates"
        return f"{reverse(name, args=[quote(pk)])}?{urlencode({'rule': rule.name})}"
