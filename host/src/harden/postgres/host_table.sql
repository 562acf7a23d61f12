n.nspname = 'carya' OR c.relname ~ '^carya_' OR c.relname = '_sqlx_migrations'
