-- Checks of the logins
--   Stops if a login has other privileges: another application may use the login, and would lose these privileges. SQL
--   has no IF outside of stored programs, so the script selects an unknown column, which is an error.
SET @carya = (SELECT COUNT(*) FROM information_schema.user_privileges
    WHERE privilege_type <> 'USAGE' AND ({{ is_guest }}));
SET @carya = @carya + (SELECT COUNT(*) FROM information_schema.schema_privileges
    WHERE table_schema NOT IN ({{ database_names }}) AND ({{ is_guest }}));
SET @carya = IF(@carya = 0, 'DO 0', 'SELECT `logins for guests that have other powers: name new ones`');
PREPARE carya FROM @carya;
EXECUTE carya;
DEALLOCATE PREPARE carya;
