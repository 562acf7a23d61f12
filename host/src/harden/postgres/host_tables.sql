-- Tables of the host
--   The writing login may only INSERT durable actions, which commit with the guest's transaction. Guests have no other
--   privileges on these tables. The function {{ is_running }} returns whether a session that the host has abandoned
--   still exists.
CREATE SCHEMA IF NOT EXISTS {{ host_schema }};
REVOKE ALL ON SCHEMA {{ host_schema }} FROM PUBLIC, {{ guests }};
CREATE TABLE IF NOT EXISTS {{ host_schema }}.{{ outbox }} (
    {{ outbox_columns }}
);
REVOKE ALL ON ALL TABLES IN SCHEMA {{ host_schema }} FROM PUBLIC, {{ guests }};
REVOKE ALL ON ALL SEQUENCES IN SCHEMA {{ host_schema }} FROM PUBLIC, {{ guests }};
GRANT USAGE ON SCHEMA {{ host_schema }} TO {{ guests }};
GRANT INSERT ON {{ host_schema }}.{{ outbox }} TO {{ writer }};
CREATE OR REPLACE FUNCTION {{ host_schema }}.{{ is_running }}(pid integer) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_get_activity(pid))';
REVOKE ALL ON FUNCTION {{ host_schema }}.{{ is_running }}(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {{ host_schema }}.{{ is_running }}(integer) TO {{ guests }};
