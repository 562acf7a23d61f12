-- Passwords
--   A new login is locked. `carya harden --apply` sets the passwords of the configuration; by hand:
{%- for login in logins %}
--   ALTER USER {{ login.account }} IDENTIFIED BY '...' ACCOUNT UNLOCK;
{%- endfor %}

-- For the server, in its configuration
--   local_infile = 0   or the server may ask its clients, the host among them, for files
