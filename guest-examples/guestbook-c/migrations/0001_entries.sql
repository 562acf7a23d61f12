CREATE TABLE entries (
    author  VARCHAR(100) PRIMARY KEY NOT NULL,
    message VARCHAR(1000) NOT NULL,
    picture VARCHAR(100),
    thanks  INTEGER NOT NULL,
    CONSTRAINT no_shouting CHECK (message NOT LIKE '%!!!%')
);
