"""Primary keys of every kind, and every kind of uniqueness."""

from __future__ import annotations

from uuid import uuid4

from django.db import models
from django.db.models.functions import Lower


class Colour(models.Model):
    """Its primary key is a text."""

    slug = models.CharField(max_length=20, primary_key=True)
    name = models.TextField()


class Dye(models.Model):
    """References a text, nullable, and unique by it where NULLs are the same."""

    colour = models.ForeignKey(Colour, on_delete=models.CASCADE, null=True)
    price = models.IntegerField()


class Chip(models.Model):
    """Its primary key is a UUID."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    serial = models.TextField(null=True)


class Implant(models.Model):
    """One to one by UUID."""

    chip = models.OneToOneField(Chip, on_delete=models.SET_NULL, null=True)
    depth = models.IntegerField()


class Lap(models.Model):
    """Its primary key has two columns. ``ponies_split`` references it, which no model knows."""

    pk = models.CompositePrimaryKey("race", "number")
    race = models.CharField(max_length=20)
    number = models.IntegerField()
    clock = models.IntegerField(null=True)


class Start(models.Model):
    """Its primary key contains a reference: repointing changes the key itself."""

    pk = models.CompositePrimaryKey("contact", "race")
    contact = models.ForeignKey("ponies.Contact", on_delete=models.CASCADE)
    race = models.CharField(max_length=20)
    bet = models.IntegerField()


class Contact(models.Model):
    """Unique whatever the case of the letters."""

    address = models.CharField(max_length=50, null=True)

    class Meta:
        constraints = [models.UniqueConstraint(Lower("address"), name="one_contact_per_address")]


class Membership(models.Model):
    """Unique among the active rows only."""

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE)
    club = models.CharField(max_length=20, null=True)
    active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["contact", "club"], condition=models.Q(active=True), name="one_active_membership"
            )
        ]


class Slot(models.Model):
    """Unique with NULL as a value like any other, where the database can do that."""

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, null=True)
    hour = models.IntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["contact", "hour"], nulls_distinct=False, name="one_contact_per_slot")
        ]
