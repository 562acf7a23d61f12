-- The shop on PostgreSQL: see migrations/0001_shop.sql.

CREATE TABLE items (
    id          bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text    NOT NULL UNIQUE,
    price_cents bigint  NOT NULL CHECK (price_cents >= 0),
    stock       bigint  NOT NULL CHECK (stock >= 0)
);

CREATE TABLE orders (
    id          bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item_id     bigint  NOT NULL REFERENCES items (id),
    quantity    bigint  NOT NULL CHECK (quantity > 0),
    -- What one piece cost on that day.
    price_cents bigint  NOT NULL CHECK (price_cents >= 0),
    placed_at   text    NOT NULL DEFAULT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
);

CREATE INDEX orders_of_item ON orders (item_id);

CREATE TABLE audit (
    id          bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          text    NOT NULL DEFAULT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    request_id  text    NOT NULL,
    method      text    NOT NULL,
    path        text    NOT NULL,
    who         text
);

-- What was sold of each item. Sums are `numeric` here, which has no place in JSON's numbers.
CREATE VIEW sales AS
    SELECT items.name, items.price_cents, items.stock, CAST(coalesce(sum(orders.quantity), 0) AS bigint) AS sold,
           CAST(coalesce(sum(orders.quantity * orders.price_cents), 0) AS bigint) AS revenue_cents
    FROM items LEFT JOIN orders ON orders.item_id = items.id
    GROUP BY items.id;
