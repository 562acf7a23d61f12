"""Controller for orders of several items, with SQLAlchemy: one-to-many relations, the order of a flush, violated constraints
as SQLAlchemy's exceptions, and nested transactions. All of it runs in the host's transaction."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import ForeignKey, Numeric, String, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from carya_guest import Created, Json, Problem, Reader, Writer, delete, get, post
from carya_guest.sqlalchemy import session


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    stock: Mapped[int]


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str] = mapped_column(String(100))
    placed_at: Mapped[datetime]
    lines: Mapped[list["Line"]] = relationship(cascade="all, delete-orphan", order_by="Line.id")


class Line(Base):
    __tablename__ = "order_lines"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    quantity: Mapped[int]
    item: Mapped[Item] = relationship()


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
    with session(db) as orm:
        orders = select(Order).order_by(Order.id).options(selectinload(Order.lines).joinedload(Line.item))
        return [view(order) for order in orm.scalars(orders)]


@post("/orders")
def create(db: Writer, new: Json[NewOrder]) -> Created:
    """Takes the items from the stock. Leaves out a line if there is not enough of its item."""
    with session(db) as orm, orm.begin():
        order = Order(customer=new.customer, placed_at=new.placed_at)
        orm.add(order)
        for line in new.lines:
            item = find(orm, line.item)
            try:
                with orm.begin_nested():
                    item.stock -= line.quantity
                    order.lines.append(Line(item=item, quantity=line.quantity))
            except IntegrityError as error:
                if "stock" not in str(error.orig):
                    raise
        if not order.lines:
            raise Problem(409, "there is not enough of any item")
        return Created(f"/orders/{order.id}", view(order))


@post("/items")
def add_item(db: Writer, name: str, price: Decimal, stock: int = 0) -> Created:
    """Adds an item. If there is one with this name, adds to its stock."""
    with session(db) as orm:
        try:
            orm.add(Item(name=name, price=price, stock=stock))
            orm.commit()
        except IntegrityError:
            orm.rollback()
            item = find(orm, name)
            item.stock += stock
            orm.commit()
        return Created("/items", {"stock": find(orm, name).stock})


@delete("/orders/{id}")
def remove(db: Writer, id: int) -> dict[str, int]:
    """Removes an order with its lines, and returns the number of lines that are left in all orders."""
    with session(db) as orm, orm.begin():
        order = orm.get(Order, id)
        if order is None:
            raise Problem(404, "there is no such order")
        orm.delete(order)
        orm.flush()
        return {"lines": len(orm.scalars(select(Line.id)).all())}


def find(orm: Session, name: str) -> Item:
    item = orm.scalar(select(Item).where(Item.name == name))
    if item is None:
        raise Problem(404, f"there is no item {name}")
    return item


def view(order: Order) -> OrderView:
    lines = [NewLine(line.item.name, line.quantity) for line in order.lines]
    total = sum((line.quantity * line.item.price for line in order.lines), Decimal())
    return OrderView(order.id, order.customer, order.placed_at, total, lines)
