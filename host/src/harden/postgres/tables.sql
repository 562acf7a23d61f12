-- Tables and sequences
--   Privileges on rows only: no TRUNCATE, which ignores the snapshots of other transactions, no REFERENCES, no TRIGGER.
--   On sequences: nextval, but not setval. Default privileges grant the same on tables and sequences that the owners of
--   the existing tables create later.
DO $carya$
DECLARE item text; kind text; ours boolean; later text;
BEGIN
    FOR item, kind, ours IN
        SELECT c.oid::regclass, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
            n.nspname <> 'public' OR c.relkind = 'f' OR c.relname ~ '^pg_' OR ({% include "host_table.sql" %})
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
          AND pg_has_role(current_user, c.relowner, 'MEMBER') LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM PUBLIC, {{ guests }}', kind, item);
        CONTINUE WHEN ours;
        IF kind = 'SEQUENCE' THEN
            EXECUTE format('GRANT USAGE ON SEQUENCE %s TO {{ writer }}', item);
        ELSE
            EXECUTE format('GRANT SELECT ON %s TO {{ guests }}', item);
            EXECUTE format('GRANT INSERT, UPDATE, DELETE ON %s TO {{ writer }}', item);
        END IF;
    END LOOP;
    FOR item IN SELECT current_user UNION SELECT pg_get_userbyid(c.relowner)
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND pg_has_role(current_user, c.relowner, 'MEMBER') LOOP
        later := format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public ', item);
        EXECUTE later || 'REVOKE ALL ON TABLES FROM PUBLIC, {{ guests }}';
        EXECUTE later || 'REVOKE ALL ON SEQUENCES FROM PUBLIC, {{ guests }}';
        EXECUTE later || 'GRANT SELECT ON TABLES TO {{ guests }}';
        EXECUTE later || 'GRANT INSERT, UPDATE, DELETE ON TABLES TO {{ writer }}';
        EXECUTE later || 'GRANT USAGE ON SEQUENCES TO {{ writer }}';
    END LOOP;
END
$carya$;
