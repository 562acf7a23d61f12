COMMIT;

-- Passwords
--   A new login cannot connect without a password. `carya harden --apply` sets the passwords of the configuration; in
--   psql:
{%- for login in logins %}
--   \password {{ login.identifier }}
{%- endfor %}

-- Settings of the server, in postgresql.conf
--   max_prepared_transactions = 0             otherwise a guest could leave a transaction open for ever, with its locks
--   client_connection_check_interval = '1s'   otherwise a statement continues after its client has disconnected
