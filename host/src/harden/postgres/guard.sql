-- Checks of the database and the logins
--   Stops if a login has other privileges: another application may use the login, and would lose these privileges.
DO $carya$
DECLARE powers text;
BEGIN
    IF current_database() <> {{ database_name }} THEN
        RAISE EXCEPTION 'this is the database %, the script is for %', current_database(), {{ database_name }};
    END IF;
    SELECT string_agg(DISTINCT format('%s %s', r.rolname, f.power), '; ') INTO powers
    FROM pg_catalog.pg_roles r CROSS JOIN LATERAL (
        SELECT 'is a superuser' WHERE r.rolsuper
        UNION ALL SELECT 'may make databases' WHERE r.rolcreatedb
        UNION ALL SELECT 'may make logins' WHERE r.rolcreaterole
        UNION ALL SELECT 'may replicate' WHERE r.rolreplication
        UNION ALL SELECT 'is above row security' WHERE r.rolbypassrls
        UNION ALL SELECT 'runs this script' WHERE r.rolname = current_user
        UNION ALL SELECT 'is a member of ' || m.roleid::regrole FROM pg_catalog.pg_auth_members m WHERE m.member = r.oid
        UNION ALL SELECT 'owns things' FROM pg_catalog.pg_shdepend d
            WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.refobjid = r.oid AND d.deptype = 'o'
    ) AS f(power) WHERE r.rolname IN ({{ guest_names }});
    IF powers IS NOT NULL THEN
        RAISE EXCEPTION 'guests need logins that have nothing else to do, but: %', powers
            USING HINT = 'Give database.url and database.reader_url names that are not taken.';
    END IF;
END
$carya$;
