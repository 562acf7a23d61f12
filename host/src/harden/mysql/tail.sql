-- Passwords
--   A new login is locked. `carya harden --apply` sets the passwords of the configuration; manually:
{%- for login in logins %}
--   ALTER USER {{ login.account }} IDENTIFIED BY '...' ACCOUNT UNLOCK;
{%- endfor %}

-- Settings of the server, in its configuration
--   local_infile = 0   otherwise the server may request files from its clients, including the host
