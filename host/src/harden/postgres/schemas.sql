-- Schemas
--   Without CREATE, guests cannot run SELECT INTO or create objects that other logins might call.
DO $carya$
DECLARE item name;
BEGIN
    FOR item IN SELECT nspname FROM pg_catalog.pg_namespace
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND pg_has_role(current_user, nspowner, 'MEMBER') LOOP
        EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', item);
        EXECUTE format('REVOKE ALL ON SCHEMA %I FROM {{ guests }}', item);
    END LOOP;
    REVOKE ALL ON SCHEMA public FROM PUBLIC;
    GRANT USAGE ON SCHEMA public TO {{ guests }};
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA public TO %I', current_user);
END
$carya$;
