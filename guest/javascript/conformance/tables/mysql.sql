CREATE TABLE authors (
    id      BIGINT AUTO_INCREMENT PRIMARY KEY,
    name    VARCHAR(100) NOT NULL,
    email   VARCHAR(100),
    country VARCHAR(100) NOT NULL DEFAULT 'none',
    CONSTRAINT authors_name UNIQUE (name)
);
CREATE TABLE books (
    id        BIGINT AUTO_INCREMENT PRIMARY KEY,
    author_id BIGINT NOT NULL,
    title     VARCHAR(100) NOT NULL,
    pages     INTEGER NOT NULL,
    price     DECIMAL(10, 2) NOT NULL,
    rating    DOUBLE,
    CONSTRAINT books_author FOREIGN KEY (author_id) REFERENCES authors (id),
    CONSTRAINT books_pages CHECK (pages > 0)
);
CREATE TABLE book_tags (
    book_id BIGINT NOT NULL,
    tag     VARCHAR(100) NOT NULL,
    PRIMARY KEY (book_id, tag),
    CONSTRAINT book_tags_book FOREIGN KEY (book_id) REFERENCES books (id)
);
CREATE TABLE samples (
    id          BIGINT AUTO_INCREMENT PRIMARY KEY,
    big         BIGINT,
    exact       DECIMAL(24, 4),
    approximate DOUBLE,
    flag        BOOLEAN,
    words       TEXT,
    raw         VARBINARY(100),
    day         DATE,
    moment      DATETIME(3),
    document    JSON,
    zoned       TIMESTAMP NULL,
    clock       TIME
);
