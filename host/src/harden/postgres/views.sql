-- Views of the server
--   These views show the statements of other sessions, with the values in them. An UPDATE of pg_settings has the effect
--   of SET.
DO $carya$
DECLARE owner name; item text;
BEGIN
{% include "superuser_only.sql" %}
    FOR item IN SELECT c.oid::regclass FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE ({% include "forbidden_view.sql" %})
          AND ({% for login in logins %}{{ '' if loop.first else ' OR ' }}has_table_privilege({{ login.name }}, c.oid, 'SELECT, UPDATE'){% endfor %}) LOOP
        EXECUTE format('REVOKE ALL ON TABLE %s FROM PUBLIC, {{ guests }}', item);
        EXECUTE format('GRANT SELECT ON TABLE %s TO %I, %I, pg_monitor', item, owner, current_user);
    END LOOP;
END
$carya$;
