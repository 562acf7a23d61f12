-- Logins
--   Creates missing logins without a password. They cannot connect until a password is set.
DO $carya$
BEGIN
    {%- for login in logins %}
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {{ login.name }}) THEN
        CREATE ROLE {{ login.identifier }} LOGIN NOINHERIT;
    END IF;
    {%- endfor %}
END
$carya$;
