-- Functions
--   Revokes functions for locks, sleeps, settings, large objects, notifications, SQL in strings, other sessions and
--   other servers. The owner and pg_monitor keep the privileges that they had through PUBLIC.
DO $carya$
DECLARE owner name; item text;
BEGIN
{% include "superuser_only.sql" %}
    FOR item IN SELECT p.oid::regprocedure FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE ({% include "forbidden_function.sql" %})
          AND ({% for login in logins %}{{ '' if loop.first else ' OR ' }}has_function_privilege({{ login.name }}, p.oid, 'EXECUTE'){% endfor %}) LOOP
        EXECUTE format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC, {{ guests }}', item);
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %I, %I, pg_monitor', item, owner, current_user);
    END LOOP;
END
$carya$;
DO $carya$
DECLARE item text;
BEGIN
    FOR item IN SELECT p.oid::regprocedure FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE (n.nspname = 'pg_catalog' AND p.proname IN ({% include "transactional_functions.sql" %})
            OR n.nspname <> 'pg_catalog' AND n.nspname || '.' || p.proname = ANY (ARRAY[{{ allowed_functions }}]::text[]))
          AND NOT ({% for login in logins %}{{ '' if loop.first else ' AND ' }}has_function_privilege({{ login.name }}, p.oid, 'EXECUTE'){% endfor %}) LOOP
        BEGIN
            EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO {{ guests }}', item);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING '% is not granted: only its owner or a superuser can grant it', item;
        END;
    END LOOP;
END
$carya$;
