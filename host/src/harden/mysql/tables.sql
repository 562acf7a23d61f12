-- Tables
--   Rows of this database, those of tables made later included, and nothing else: no FILE, no LOCK TABLES, no
--   CREATE TEMPORARY TABLES, no EXECUTE, nothing that is made, altered or dropped: that would also commit.
{%- for login in logins %}
REVOKE ALL PRIVILEGES, GRANT OPTION FROM {{ login.account }};
GRANT {{ 'SELECT, INSERT, UPDATE, DELETE' if login.writes else 'SELECT' }} ON {{ database_pattern }}.* TO {{ login.account }};
{%- endfor %}
