"""Odd names, odd types, and tables that Django does not make."""

from __future__ import annotations

from django.db import models

from tests.ponies.models.herd import Pony


class Odd(models.Model):
    """Names that must be quoted. ``ponies 50% note`` references it, which Django could not write to."""

    name = models.TextField(db_column="the name")
    order = models.IntegerField(db_column="order", null=True)
    quote = models.TextField(db_column="it's", null=True)

    class Meta:
        db_table = "ponies select odd"


class OldNote(models.Model):
    """A table of somebody else's, without a foreign key in the database."""

    pony = models.ForeignKey(Pony, on_delete=models.DO_NOTHING)
    text = models.TextField()

    class Meta:
        managed = False
        db_table = "ponies_oldnote"


class Scroll(models.Model):
    """Somebody else's table with types that can neither be compared nor hashed, as json and point."""

    title = models.TextField()
    body = models.TextField(null=True)
    motto = models.TextField(null=True)
    origin = models.TextField(null=True)

    class Meta:
        managed = False
        db_table = "ponies_scroll"


class Seal(models.Model):
    """References such a row, and has such a column itself."""

    scroll = models.ForeignKey(Scroll, on_delete=models.DO_NOTHING)
    wax = models.TextField(null=True)

    class Meta:
        managed = False
        db_table = "ponies_seal"


class Computed(models.Model):
    """A column that the database computes, and its uniqueness is on it."""

    width = models.IntegerField()
    height = models.IntegerField()
    area = models.GeneratedField(
        expression=models.F("width") * models.F("height"), output_field=models.IntegerField(), db_persist=True
    )
    numbered = models.ForeignKey("ponies.Numbered", on_delete=models.DO_NOTHING, null=True)


class Numbered(models.Model):
    """The database alone gives it numbers (GENERATED ALWAYS AS IDENTITY)."""

    name = models.TextField()

    class Meta:
        managed = False
        db_table = "ponies_numbered"


class Comb(models.Model):
    """In another schema, which its name tells the way Django lets it. SQLite has no such table."""

    name = models.TextField()

    class Meta:
        managed = False
        db_table = 'elsewhere"."comb'
