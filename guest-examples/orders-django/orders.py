"""Controller for orders of several items, with the models of Django: one-to-many relations, violated constraints as Django's
exceptions, and nested transactions. All of it runs in the host's transaction."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError
from django.db.models import F
from django.db.transaction import atomic

from carya_guest import Created, Json, Problem, Reader, Writer, delete, get, post
from carya_guest.django import connect, setup

setup("shop", USE_TZ=False)

from shop.models import Item, Line, Order  # noqa: E402


@dataclass
class NewLine:
    item: str
    quantity: int


@dataclass
class NewOrder:
    customer: str
    placed_at: datetime
    lines: list[NewLine]


@dataclass
class OrderView:
    id: int
    customer: str
    placed_at: datetime
    total: Decimal
    lines: list[NewLine]


@get("/orders")
def list_orders(db: Reader) -> list[OrderView]:
    with connect(db):
        return [view(order) for order in Order.objects.order_by("id").prefetch_related("lines__item")]


@post("/orders")
def create(db: Writer, new: Json[NewOrder]) -> Created:
    """Takes the items from the stock. Leaves out a line if there is not enough of its item."""
    with connect(db), atomic():
        order = Order.objects.create(customer=new.customer, placed_at=new.placed_at)
        for line in new.lines:
            item = find(line.item)
            try:
                with atomic():
                    order.lines.create(item=item, quantity=line.quantity)
                    Item.objects.filter(pk=item.pk).update(stock=F("stock") - line.quantity)
            except IntegrityError as error:
                if "stock" not in str(error):
                    raise
        if not order.lines.exists():
            raise Problem(409, "there is not enough of any item")
        return Created(f"/orders/{order.pk}", view(order))


@post("/items")
def add_item(db: Writer, name: str, price: Decimal, stock: int = 0) -> Created:
    """Adds an item. If there is one with this name, adds to its stock."""
    with connect(db):
        try:
            Item.objects.create(name=name, price=price, stock=stock)
        except IntegrityError:
            Item.objects.filter(name=name).update(stock=F("stock") + stock)
        return Created("/items", {"stock": find(name).stock})


@delete("/orders/{id}")
def remove(db: Writer, id: int) -> dict[str, int]:
    """Removes an order with its lines, and returns the number of lines that are left in all orders."""
    with connect(db), atomic():
        order = Order.objects.filter(pk=id).first()
        if order is None:
            raise Problem(404, "there is no such order")
        order.delete()
        return {"lines": Line.objects.count()}


def find(name: str) -> Item:
    item: Item | None = Item.objects.filter(name=name).first()
    if item is None:
        raise Problem(404, f"there is no item {name}")
    return item


def view(order: Order) -> OrderView:
    lines = order.lines.all()
    total = sum((line.quantity * line.item.price for line in lines), Decimal("0.00"))
    views = [NewLine(line.item.name, line.quantity) for line in lines]
    return OrderView(order.pk, order.customer, order.placed_at, total, views)
