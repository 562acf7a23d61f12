-- Logins
--   Made if they are not there, locked: nobody gets in yet.
{%- for login in logins %}
CREATE USER IF NOT EXISTS {{ login.account }} ACCOUNT LOCK;
{%- endfor %}
