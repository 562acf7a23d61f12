"""The tables of the shop. Migrations of the host create them."""

from django.db import models


class Item(models.Model):
    name = models.CharField(max_length=100, unique=True)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    stock = models.IntegerField()

    class Meta:
        db_table = "items"


class Order(models.Model):
    customer = models.CharField(max_length=100)
    placed_at = models.DateTimeField()

    class Meta:
        db_table = "orders"


class Line(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    item = models.ForeignKey(Item, models.PROTECT)
    quantity = models.IntegerField()

    class Meta:
        db_table = "order_lines"
        ordering = ("id",)
