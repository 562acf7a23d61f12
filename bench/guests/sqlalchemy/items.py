"""Controller that reads one item of the shop with SQLAlchemy's object-relational mapper, as `bench/pecan` does."""

from typing import Any

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from carya_guest import Problem, Reader, get
from carya_guest.sqlalchemy import session


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price_cents: Mapped[int]
    stock: Mapped[int]


@get("/items/{id}")
def show(db: Reader, id: int) -> dict[str, Any]:
    with session(db) as orm:
        item = orm.get(Item, id)
        if item is None:
            raise Problem(404, "there is no such item")
        return {"id": item.id, "name": item.name, "price_cents": item.price_cents, "stock": item.stock}
