CREATE TABLE tickets (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title    text   NOT NULL UNIQUE,
    priority bigint NOT NULL,
    state    text   NOT NULL CHECK (state IN ('open', 'closed')),
    version  bigint NOT NULL DEFAULT 1
);

CREATE TABLE comments (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ticket bigint NOT NULL REFERENCES tickets (id),
    text   text   NOT NULL
);
