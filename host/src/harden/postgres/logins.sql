-- Logins
--   Made if they are not there, without a password: nobody gets in yet.
DO $carya$
BEGIN
    {%- for login in logins %}
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {{ login.name }}) THEN
        CREATE ROLE {{ login.identifier }} LOGIN NOINHERIT;
    END IF;
    {%- endfor %}
END
$carya$;
