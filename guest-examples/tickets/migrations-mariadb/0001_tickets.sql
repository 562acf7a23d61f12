CREATE TABLE tickets (
    id       bigint       AUTO_INCREMENT PRIMARY KEY,
    title    varchar(100) COLLATE utf8mb4_bin NOT NULL UNIQUE,
    priority bigint       NOT NULL,
    state    varchar(10)  NOT NULL CHECK (state IN ('open', 'closed')),
    version  bigint       NOT NULL DEFAULT 1
) CHARACTER SET utf8mb4;

CREATE TABLE comments (
    id     bigint AUTO_INCREMENT PRIMARY KEY,
    ticket bigint NOT NULL REFERENCES tickets (id),
    text   text   NOT NULL
) CHARACTER SET utf8mb4;
