-- Logins
--   Creates missing logins, locked: they cannot connect until a password is set.
{%- for login in logins %}
CREATE USER IF NOT EXISTS {{ login.account }} ACCOUNT LOCK;
{%- endfor %}
