-- Tables
--   Only privileges on the rows of this database's tables, including tables that are created later: no FILE, no LOCK
--   TABLES, no CREATE TEMPORARY TABLES, no EXECUTE, and no CREATE, ALTER or DROP, which would also commit.
{%- for login in logins %}
REVOKE ALL PRIVILEGES, GRANT OPTION FROM {{ login.account }};
GRANT {{ 'SELECT, INSERT, UPDATE, DELETE' if login.writes else 'SELECT' }} ON {{ database_pattern }}.* TO {{ login.account }};
{%- endfor %}
