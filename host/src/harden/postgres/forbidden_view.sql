c.relkind = 'v' AND (
        n.nspname = 'pg_catalog' AND c.relname ~ '^pg_(stat|locks$|cursors$|prepared_|settings$|replication_|user_mappings$)'
        OR c.relname ~ '^pg_stat_statements')
