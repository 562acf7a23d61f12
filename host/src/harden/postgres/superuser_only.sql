    IF NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
        RAISE WARNING 'skipped: only a superuser can revoke this from guests';
        RETURN;
    END IF;
    SELECT pg_get_userbyid(datdba) INTO owner FROM pg_catalog.pg_database WHERE datname = current_database();
