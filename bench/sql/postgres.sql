CREATE TABLE items (id BIGINT PRIMARY KEY, name TEXT NOT NULL, price_cents BIGINT NOT NULL, stock BIGINT NOT NULL);
CREATE TABLE orders (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item_id BIGINT NOT NULL, quantity BIGINT NOT NULL);
CREATE TABLE counters (id BIGINT PRIMARY KEY, n BIGINT NOT NULL);
INSERT INTO counters VALUES (1, 0);
INSERT INTO items (id, name, price_cents, stock)
    SELECT i, 'Pecans, roasted, bag ' || i, 690 + i, 40 FROM generate_series(1, 900) i;
ANALYZE;
