-- Tables of the host
--   In a separate database, because no table can be excluded from the grants above. The writing login may only INSERT
--   durable actions, which commit with the guest's transaction.
CREATE DATABASE IF NOT EXISTS {{ host_database }} CHARACTER SET utf8mb4;
CREATE TABLE IF NOT EXISTS {{ host_database }}.{{ outbox }} (
    {{ outbox_columns }}
) ENGINE=InnoDB;
GRANT INSERT ON {{ host_database }}.{{ outbox }} TO {{ writer }};
