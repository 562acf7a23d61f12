CREATE TABLE tickets (
    id       INTEGER PRIMARY KEY,
    title    TEXT    NOT NULL UNIQUE,
    priority INTEGER NOT NULL,
    state    TEXT    NOT NULL CHECK (state IN ('open', 'closed')),
    version  INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE TABLE comments (
    id     INTEGER PRIMARY KEY,
    ticket INTEGER NOT NULL REFERENCES tickets (id),
    text   TEXT    NOT NULL
) STRICT;
