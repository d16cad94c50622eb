"""Multi-table inheritance, and a swapped model."""

from __future__ import annotations

from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import models


class Animal(models.Model):
    """The parent's table."""

    tag = models.TextField()


class Unicorn(Animal):
    """The child's table: its primary key is a one-to-one to the parent's row."""

    sparkle = models.IntegerField()


class Horn(models.Model):
    """References the child."""

    unicorn = models.ForeignKey(Unicorn, on_delete=models.CASCADE)
    length = models.IntegerField()


class Vaccination(models.Model):
    """References the parent."""

    animal = models.ForeignKey(Animal, on_delete=models.CASCADE)
    against = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["animal", "against"], name="one_vaccination_each")]


class Plant(models.Model):
    """The parent of a polymorphic model: its rows say of which class they are."""

    name = models.TextField()
    kind = models.ForeignKey(ContentType, null=True, on_delete=models.CASCADE)


class Rose(Plant):
    """One class."""

    thorns = models.IntegerField()


class Oak(Plant):
    """Another."""

    rings = models.IntegerField()


class Keeper(models.Model):
    """Swapped out by a setting: it has no table."""

    name = models.TextField()

    class Meta:
        swappable = "PONIES_KEEPER_MODEL"


class RealKeeper(models.Model):
    """What stands in its place."""

    name = models.TextField()


class Shift(models.Model):
    """References whatever model the setting names."""

    keeper = models.ForeignKey(settings.PONIES_KEEPER_MODEL, on_delete=models.CASCADE)
    hour = models.IntegerField()
