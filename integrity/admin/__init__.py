"""The admin's pages: look at the mirrored tables, at duplicates, plans and runs; undo a run.

Every page is read-only but one: Undo, which asks first. ``DuplicatesMixin`` brings the filter "has duplicates" and
the comparison of one group's rows to the ``ModelAdmin`` of any model that a rule speaks of.
"""

from django.contrib import admin

from integrity.admin.duplicates import DuplicatesFilter, DuplicatesMixin
from integrity.admin.mirrored import MirroredAdmin, register_mirrored
from integrity.admin.plans import DedupePlanAdmin
from integrity.admin.runs import DedupeRunAdmin
from integrity.models import DedupePlan, DedupeRun

__all__ = ["DedupePlanAdmin", "DedupeRunAdmin", "DuplicatesFilter", "DuplicatesMixin", "MirroredAdmin"]

admin.site.register(DedupePlan, DedupePlanAdmin)
admin.site.register(DedupeRun, DedupeRunAdmin)
register_mirrored(admin.site)
