"""A stranger's admin: colours, of which staff see what is neither secret nor locked, and combs in another schema."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import path

from integrity.admin import DuplicatesMixin
from tests.ponies.models import Colour, Comb

site = AdminSite()


class ColourAdmin(DuplicatesMixin):
    list_display = ("slug", "name")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return rows if request.user.is_superuser else rows.exclude(slug__startswith="secret")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        locked = obj is not None and obj.slug.startswith("locked") and not request.user.is_superuser
        return super().has_view_permission(request, obj) and not locked


class CombAdmin(DuplicatesMixin):
    list_display = ("name",)


site.register(Colour, ColourAdmin)
site.register(Comb, CombAdmin)
urlpatterns = [path("admin/", site.urls)]
