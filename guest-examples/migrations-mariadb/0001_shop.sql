-- The shop on MariaDB: see migrations/0001_shop.sql.

CREATE TABLE items (
    id          bigint       AUTO_INCREMENT PRIMARY KEY,
    name        varchar(100) COLLATE utf8mb4_bin NOT NULL UNIQUE,
    price_cents bigint       NOT NULL CHECK (price_cents >= 0),
    stock       bigint       NOT NULL CHECK (stock >= 0)
) CHARACTER SET utf8mb4;

CREATE TABLE orders (
    id          bigint       AUTO_INCREMENT PRIMARY KEY,
    item_id     bigint       NOT NULL REFERENCES items (id),
    quantity    bigint       NOT NULL CHECK (quantity > 0),
    -- What one piece cost on that day.
    price_cents bigint       NOT NULL CHECK (price_cents >= 0),
    placed_at   varchar(20)  NOT NULL DEFAULT (date_format(utc_timestamp(), '%Y-%m-%dT%H:%i:%sZ')),
    INDEX orders_of_item (item_id)
) CHARACTER SET utf8mb4;

CREATE TABLE audit (
    id          bigint       AUTO_INCREMENT PRIMARY KEY,
    at          varchar(20)  NOT NULL DEFAULT (date_format(utc_timestamp(), '%Y-%m-%dT%H:%i:%sZ')),
    request_id  varchar(128) NOT NULL,
    method      varchar(20)  NOT NULL,
    path        text         NOT NULL,
    who         text
) CHARACTER SET utf8mb4;

-- What was sold of each item. Sums are DECIMAL here, which has no place in JSON's numbers.
CREATE VIEW sales AS
    SELECT items.name, items.price_cents, items.stock, CAST(coalesce(sum(orders.quantity), 0) AS SIGNED) AS sold,
           CAST(coalesce(sum(orders.quantity * orders.price_cents), 0) AS SIGNED) AS revenue_cents
    FROM items LEFT JOIN orders ON orders.item_id = items.id
    GROUP BY items.id;
