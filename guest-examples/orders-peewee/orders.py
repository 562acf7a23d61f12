"""Controller for orders of several items, with peewee: one-to-many relations, violated constraints as peewee's exceptions,
and nested transactions. All of it runs in the host's transaction."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import peewee
from peewee import CharField, DateTimeField, DecimalField, ForeignKeyField, IntegerField, IntegrityError, Model

from carya_guest import Created, Json, Problem, Reader, Writer, delete, get, post
from carya_guest.peewee import connect, database


class Base(Model):
    id = peewee.AutoField()

    class Meta:
        database = database


class Item(Base):
    name = CharField(max_length=100, unique=True)
    price = DecimalField(max_digits=10, decimal_places=2)
    stock = IntegerField()

    class Meta:
        table_name = "items"


class Order(Base):
    customer = CharField(max_length=100)
    placed_at = DateTimeField()
    lines: "peewee.ModelSelect[Line]"

    class Meta:
        table_name = "orders"


class Line(Base):
    order = ForeignKeyField(Order, backref="lines")
    item = ForeignKeyField(Item)
    quantity = IntegerField()

    class Meta:
        table_name = "order_lines"


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
        orders = Order.select().order_by(Order.id)
        return [view(order) for order in peewee.prefetch(orders, Line.select().order_by(Line.id), Item)]


@post("/orders")
def create(db: Writer, new: Json[NewOrder]) -> Created:
    """Takes the items from the stock. Leaves out a line if there is not enough of its item."""
    with connect(db) as orm, orm.atomic():
        order = Order.create(customer=new.customer, placed_at=new.placed_at)
        for line in new.lines:
            item = find(line.item)
            try:
                with orm.atomic():
                    Line.create(order=order, item=item, quantity=line.quantity)
                    Item.update(stock=Item.stock - line.quantity).where(Item.id == item.id).execute()
            except IntegrityError as error:
                if "stock" not in str(error):
                    raise
        if not order.lines.count():
            raise Problem(409, "there is not enough of any item")
        return Created(f"/orders/{order.id}", view(order))


@post("/items")
def add_item(db: Writer, name: str, price: Decimal, stock: int = 0) -> Created:
    """Adds an item. If there is one with this name, adds to its stock."""
    with connect(db):
        try:
            Item.create(name=name, price=price, stock=stock)
        except IntegrityError:
            Item.update(stock=Item.stock + stock).where(Item.name == name).execute()
        return Created("/items", {"stock": find(name).stock})


@delete("/orders/{id}")
def remove(db: Writer, id: int) -> dict[str, int]:
    """Removes an order with its lines, and returns the number of lines that are left in all orders."""
    with connect(db) as orm, orm.atomic():
        order = Order.get_or_none(Order.id == id)
        if order is None:
            raise Problem(404, "there is no such order")
        order.delete_instance(recursive=True)
        return {"lines": Line.select().count()}


def find(name: str) -> Item:
    item = Item.get_or_none(Item.name == name)
    if item is None:
        raise Problem(404, f"there is no item {name}")
    return item


def view(order: Order) -> OrderView:
    lines = [NewLine(line.item.name, line.quantity) for line in order.lines]
    total = sum((line.quantity * line.item.price for line in order.lines), Decimal("0.00"))
    return OrderView(order.id, order.customer, order.placed_at, total.quantize(Decimal("0.01")), lines)
