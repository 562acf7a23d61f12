-- The host's own tables
--   In a database of their own, for no table can be taken out of the grants above. Guests' logins have only
--   INSERT of durable actions: they are recorded in the guest's transaction.
CREATE DATABASE IF NOT EXISTS {{ host_database }} CHARACTER SET utf8mb4;
CREATE TABLE IF NOT EXISTS {{ host_database }}.{{ outbox }} (
    {{ outbox_columns }}
) ENGINE=InnoDB;
GRANT INSERT ON {{ host_database }}.{{ outbox }} TO {{ writer }};
