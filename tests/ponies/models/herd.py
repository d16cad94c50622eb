"""The pony, which references itself in three ways, and its many-to-many relations."""

from __future__ import annotations

from django.contrib.contenttypes.fields import GenericRelation
from django.db import models


class Living(models.Manager["Pony"]):
    """Hides the ponies that are gone."""

    def get_queryset(self) -> models.QuerySet[Pony]:
        return super().get_queryset().filter(gone=False)


class Toy(models.Model):
    name = models.TextField()


class Show(models.Model):
    name = models.TextField()


class Pony(models.Model):
    """Duplicates have one name. Even its base manager hides rows."""

    name = models.TextField()
    code = models.CharField(max_length=20, unique=True, null=True)
    foaled = models.IntegerField(null=True)
    gone = models.BooleanField(default=False)
    sire = models.ForeignKey("self", on_delete=models.CASCADE, null=True, related_name="foals")
    friend = models.OneToOneField("self", on_delete=models.CASCADE, null=True, related_name="+")
    companions = models.ManyToManyField("self")
    toys = models.ManyToManyField(Toy)
    shows = models.ManyToManyField(Show, through="Ribbon")
    labels = GenericRelation("ponies.Label")

    objects = Living()
    all_objects = models.Manager["Pony"]()

    class Meta:
        base_manager_name = "objects"


class ShowPony(Pony):
    """A proxy, which other models reference as if it were a model of its own."""

    class Meta:
        proxy = True


class Ribbon(models.Model):
    """A through table with columns and a uniqueness of its own."""

    pony = models.ForeignKey(Pony, on_delete=models.CASCADE)
    show = models.ForeignKey(Show, on_delete=models.CASCADE)
    place = models.IntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["pony", "show"], name="one_ribbon_per_show")]


class Score(models.Model):
    """Unique under its ribbon: where ribbons collide, scores may collide in turn."""

    ribbon = models.ForeignKey(Ribbon, on_delete=models.CASCADE)
    judge = models.IntegerField(null=True)
    points = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["ribbon", "judge"], name="one_score_per_judge")]
