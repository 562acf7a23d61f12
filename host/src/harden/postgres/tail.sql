COMMIT;

-- Passwords
--   A new login lets nobody in before it has one. `carya harden --apply` sets those of the configuration; in psql:
{%- for login in logins %}
--   \password {{ login.identifier }}
{%- endfor %}

-- For the server, in postgresql.conf
--   max_prepared_transactions = 0             or a guest could leave a transaction, with its locks, behind for ever
--   client_connection_check_interval = '1s'   or a statement goes on after its client is gone
