p.prorettype::regtype::text !~ '(trigger|handler|internal)$'
    AND 'internal'::regtype <> ALL (p.proargtypes) AND (
        n.nspname = 'pg_catalog' AND p.provolatile = 'v' AND p.proname NOT IN ('array_sample', 'array_shuffle',
            'clock_timestamp', 'gen_random_uuid', 'nextval', 'pg_advisory_unlock_all', 'pg_control_checkpoint',
            'pg_current_wal_insert_lsn', 'pg_current_xact_id', 'pg_is_in_recovery', 'pg_last_wal_replay_lsn', 'pg_xact_status',
            'random', 'random_normal', 'timeofday', 'uuidv4', 'uuidv7', {% include "transactional_functions.sql" %})
        OR n.nspname = 'pg_catalog' AND p.proname ~ '^(pg_stat_get_|pg_(cursor|prepared_statement|show_all_settings|listening_channels|get_replication_slots|get_functiondef|tablespace_databases)$|txid_current|(table|schema|database)_to_xml)'
        OR p.provolatile = 'v' AND EXISTS (SELECT FROM pg_catalog.pg_depend d
            JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_catalog.pg_extension'::regclass
            WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
              AND e.extname NOT IN ({{ harmless_extensions }})) AND n.nspname || '.' || p.proname <> ALL (ARRAY[{{ allowed_functions }}]::text[]))
