"""The site's pages: the admin, and the admin's own style sheets."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    # `runserver` without DEBUG serves no style sheets, and DEBUG would keep every statement in memory.
    path("static/<path:path>", serve, {"insecure": True}),
]
