"""What references a pony: each kind of relation once."""

from __future__ import annotations

from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models

from tests.ponies.models.herd import Pony, ShowPony


class SecretNote(models.Model):
    """The pony does not know that it is referenced."""

    pony = models.ForeignKey(Pony, on_delete=models.CASCADE, related_name="+")
    text = models.TextField()


class NotDeleted(models.Manager["SoftNote"]):
    """Hides the rows that were deleted softly."""

    def get_queryset(self) -> models.QuerySet[SoftNote]:
        return super().get_queryset().filter(deleted=False)


class SoftNote(models.Model):
    """Deleted rows stay, out of sight."""

    pony = models.ForeignKey(Pony, on_delete=models.CASCADE)
    text = models.TextField()
    deleted = models.BooleanField(default=False)

    objects = NotDeleted()
    all_objects = models.Manager["SoftNote"]()


class LooseNote(models.Model):
    """The database does not know that this is a reference."""

    pony = models.ForeignKey(Pony, on_delete=models.DO_NOTHING, db_constraint=False, null=True)
    text = models.TextField()


class ProxyNote(models.Model):
    """References a proxy."""

    pony = models.ForeignKey(ShowPony, on_delete=models.PROTECT)
    text = models.TextField()


class Stall(models.Model):
    """References a pony by its code, not by its primary key."""

    pony = models.ForeignKey(Pony, on_delete=models.CASCADE, to_field="code", null=True)
    number = models.IntegerField()


class Passport(models.Model):
    """One to one."""

    pony = models.OneToOneField(Pony, on_delete=models.CASCADE)
    number = models.TextField()


class Brain(models.Model):
    """One to one, and the reference is the primary key."""

    pony = models.OneToOneField(Pony, on_delete=models.CASCADE, primary_key=True)
    thoughts = models.TextField()


class Bridle(models.Model):
    """References two ponies, and is unique by both."""

    left = models.ForeignKey(Pony, on_delete=models.CASCADE, related_name="+")
    right = models.ForeignKey(Pony, on_delete=models.CASCADE, related_name="+", null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["left", "right"], name="one_bridle_per_pair")]


class Label(models.Model):
    """A generic foreign key; the pony has a GenericRelation for it."""

    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE)
    object_id = models.PositiveBigIntegerField()
    subject = GenericForeignKey("content_type", "object_id")
    text = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["content_type", "object_id", "text"], name="one_label_each")]


class Remark(models.Model):
    """A generic foreign key that no GenericRelation knows; the id is a text, as it must fit every model."""

    about_type = models.ForeignKey(ContentType, on_delete=models.CASCADE)
    about_id = models.CharField(max_length=50)
    about = GenericForeignKey("about_type", "about_id")
    text = models.TextField()


class Visit(models.Model):
    """A content type and an id under their usual names, as logs have them: no generic foreign key declares them."""

    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE)
    object_id = models.TextField()
