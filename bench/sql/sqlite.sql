CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price_cents BIGINT NOT NULL, stock BIGINT NOT NULL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, item_id BIGINT NOT NULL, quantity BIGINT NOT NULL);
CREATE TABLE counters (id INTEGER PRIMARY KEY, n BIGINT NOT NULL);
INSERT INTO counters VALUES (1, 0);
INSERT INTO items (id, name, price_cents, stock)
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
    SELECT i, 'Pecans, roasted, bag ' || i, 690 + i, 40 FROM n;
