-- Tables of the host
--   Guests have no privileges on these tables. In a guest's transaction, the host inserts and deletes durable actions by
--   the functions {{ outbox_add }} and {{ outbox_done }}, which run as their owner and require a secret. A host
--   creates the secret at its start, in a table that only the owner reads. The function {{ is_running }} returns
--   whether a session that the host has abandoned still exists.
CREATE SCHEMA IF NOT EXISTS {{ host_schema }};
REVOKE ALL ON SCHEMA {{ host_schema }} FROM PUBLIC, {{ guests }};
CREATE TABLE IF NOT EXISTS {{ host_schema }}.{{ outbox }} (
    {{ outbox_columns }}
);
{{ outbox_upgrade }};
{%- for statement in outbox_functions %}
{{ statement }};
{%- endfor %}
REVOKE ALL ON ALL TABLES IN SCHEMA {{ host_schema }} FROM PUBLIC, {{ guests }};
REVOKE ALL ON ALL SEQUENCES IN SCHEMA {{ host_schema }} FROM PUBLIC, {{ guests }};
GRANT USAGE ON SCHEMA {{ host_schema }} TO {{ guests }};
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {{ host_schema }} FROM PUBLIC, {{ guests }};
{%- for statement in outbox_grants %}
{{ statement }};
{%- endfor %}
CREATE OR REPLACE FUNCTION {{ host_schema }}.{{ is_running }}(pid integer) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_get_activity(pid))';
REVOKE ALL ON FUNCTION {{ host_schema }}.{{ is_running }}(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {{ host_schema }}.{{ is_running }}(integer) TO {{ guests }};
