"""The workloads on Pecan: object dispatch, with Pecan's TransactionHook and an SQLAlchemy session for each request.

The hook rolls back the transaction of a GET and commits that of a POST. BENCH_DATABASE is the URL of the database.
"""

import os

from pecan import abort, expose, make_app, request, response
from pecan.hooks import TransactionHook
from pecan.rest import RestController
from sqlalchemy import BigInteger, Integer, String, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

URL = os.environ["BENCH_DATABASE"]
BigId = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String)
    price_cents: Mapped[int] = mapped_column(BigInteger)
    stock: Mapped[int] = mapped_column(BigInteger)


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    item_id: Mapped[int] = mapped_column(BigInteger)
    quantity: Mapped[int] = mapped_column(BigInteger)


def connect():
    if URL.startswith("sqlite://"):
        engine = create_engine("sqlite:///" + URL.removeprefix("sqlite://"), connect_args={"timeout": 10})

        @event.listens_for(engine, "connect")
        def settings(connection, _):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")

        return engine
    return create_engine(URL.replace("postgres://", "postgresql+psycopg2://"), pool_size=5)


Session = scoped_session(sessionmaker(connect())) if URL else None


class ItemsController(RestController):
    @expose("json")
    def get_one(self, id):
        item = Session.get(Item, int(id)) or abort(404)
        return {"id": item.id, "name": item.name, "price_cents": item.price_cents, "stock": item.stock}


class OrdersController(RestController):
    @expose("json")
    def post(self):
        order = Order(item_id=request.json["item_id"], quantity=request.json["quantity"])
        Session.add(order)
        Session.flush()
        response.status = 201
        return {"id": order.id}


class RootController:
    items = ItemsController()
    orders = OrdersController()

    @expose(content_type="text/plain")
    def hello(self):
        return "hello"




hooks = []
if Session:
    hooks.append(TransactionHook(Session, Session, Session.commit, Session.rollback, Session.remove))

application = make_app(RootController(), hooks=hooks, debug=False)
