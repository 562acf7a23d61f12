-- Languages
--   Without USAGE of a language, guests cannot send DO statements, which can contain loops, SET and even COMMIT. They
--   can still call existing functions.
DO $carya$
DECLARE owner name; item text;
BEGIN
{% include "superuser_only.sql" %}
    FOR item IN SELECT quote_ident(l.lanname) FROM pg_catalog.pg_language l WHERE l.lanpltrusted
          AND ({% for login in logins %}{{ '' if loop.first else ' OR ' }}has_language_privilege({{ login.name }}, l.oid, 'USAGE'){% endfor %}) LOOP
        EXECUTE format('REVOKE USAGE ON LANGUAGE %s FROM PUBLIC, {{ guests }}', item);
        EXECUTE format('GRANT USAGE ON LANGUAGE %s TO %I, %I, pg_monitor', item, owner, current_user);
    END LOOP;
END
$carya$;
