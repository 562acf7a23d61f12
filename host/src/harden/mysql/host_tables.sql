-- Tables of the host
--   In a separate database, because no table can be excluded from the grants above. Guests have no privileges on these
--   tables. In a guest's transaction, the host inserts and deletes durable actions by the procedures
--   {{ outbox_add }} and {{ outbox_done }}, which run as their definer and require a secret. A host creates the
--   secret at its start, in a table that only the owner reads.
CREATE DATABASE IF NOT EXISTS {{ host_database }} CHARACTER SET utf8mb4;
CREATE TABLE IF NOT EXISTS {{ host_database }}.{{ outbox }} (
    {{ outbox_columns }}
) ENGINE=InnoDB;
{%- for statement in outbox_functions %}
{{ statement }};
{%- endfor %}
{%- for statement in outbox_grants %}
{{ statement }};
{%- endfor %}
