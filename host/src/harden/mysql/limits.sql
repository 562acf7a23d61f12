-- Limits of the logins
--   MariaDB ends statements that run longer than MAX_STATEMENT_TIME. MySQL has no such limit for a login, so there only
--   the host's timeout applies.
{%- for login in logins %}
GRANT USAGE ON *.* TO {{ login.account }} /*M! WITH MAX_STATEMENT_TIME {{ statement_timeout_seconds }} */;
{%- endfor %}
