-- The shop: what there is, who ordered how much of it, and who changed anything.

CREATE TABLE items (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    price_cents INTEGER NOT NULL CHECK (price_cents >= 0),
    stock       INTEGER NOT NULL CHECK (stock >= 0)
) STRICT;

CREATE TABLE orders (
    id          INTEGER PRIMARY KEY,
    item_id     INTEGER NOT NULL REFERENCES items (id),
    quantity    INTEGER NOT NULL CHECK (quantity > 0),
    -- What one piece cost on that day.
    price_cents INTEGER NOT NULL CHECK (price_cents >= 0),
    placed_at   TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
) STRICT;

CREATE INDEX orders_of_item ON orders (item_id);

CREATE TABLE audit (
    id          INTEGER PRIMARY KEY,
    at          TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')),
    request_id  TEXT    NOT NULL,
    method      TEXT    NOT NULL,
    path        TEXT    NOT NULL,
    who         TEXT
) STRICT;

-- What was sold of each item.
CREATE VIEW sales AS
    SELECT items.name, items.price_cents, items.stock, coalesce(sum(orders.quantity), 0) AS sold,
           coalesce(sum(orders.quantity * orders.price_cents), 0) AS revenue_cents
    FROM items LEFT JOIN orders ON orders.item_id = items.id
    GROUP BY items.id;
