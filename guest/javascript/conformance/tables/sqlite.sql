CREATE TABLE authors (
    id      INTEGER PRIMARY KEY,
    name    TEXT NOT NULL,
    email   TEXT,
    country TEXT NOT NULL DEFAULT 'none',
    CONSTRAINT authors_name UNIQUE (name)
);
CREATE TABLE books (
    id        INTEGER PRIMARY KEY,
    author_id INTEGER NOT NULL,
    title     TEXT NOT NULL,
    pages     INTEGER NOT NULL,
    price     NUMERIC NOT NULL,
    rating    REAL,
    CONSTRAINT books_author FOREIGN KEY (author_id) REFERENCES authors (id),
    CONSTRAINT books_pages CHECK (pages > 0)
);
CREATE TABLE book_tags (
    book_id INTEGER NOT NULL REFERENCES books (id),
    tag     TEXT NOT NULL,
    PRIMARY KEY (book_id, tag)
);
CREATE TABLE samples (
    id          INTEGER PRIMARY KEY,
    big         INTEGER,
    exact       NUMERIC,
    approximate REAL,
    flag        BOOLEAN,
    words       TEXT,
    raw         BLOB,
    day         TEXT,
    moment      INTEGER,
    document    TEXT
);
