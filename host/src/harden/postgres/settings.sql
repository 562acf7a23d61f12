-- Settings of the logins
--   Defaults for sessions in which the host sets no other value. A guest that can send SET can change most of them, so
--   they only complement the privileges below. Only a superuser can set temp_file_limit.
{%- for login in logins %}
ALTER ROLE {{ login.identifier }} SET default_transaction_read_only = {{ 'off' if login.writes else 'on' }};
ALTER ROLE {{ login.identifier }} SET statement_timeout = '{{ statement_timeout_ms }}ms';
ALTER ROLE {{ login.identifier }} SET lock_timeout = '{{ statement_timeout_ms }}ms';
ALTER ROLE {{ login.identifier }} SET idle_in_transaction_session_timeout = '{{ idle_timeout_ms }}ms';
ALTER ROLE {{ login.identifier }} SET search_path = public, pg_temp;
{%- endfor %}
DO $carya$
BEGIN
    IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
        {%- for login in logins %}
        ALTER ROLE {{ login.identifier }} SET temp_file_limit = '256MB';
        {%- endfor %}
    END IF;
END
$carya$;
