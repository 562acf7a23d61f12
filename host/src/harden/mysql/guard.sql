-- Whose logins
--   A login that has powers already serves somebody else: better to stop than to take them away.
--   There is no IF outside of programs, so the script stops at a column that is not there.
SET @carya = (SELECT COUNT(*) FROM information_schema.user_privileges
    WHERE privilege_type <> 'USAGE' AND ({{ is_guest }}));
SET @carya = @carya + (SELECT COUNT(*) FROM information_schema.schema_privileges
    WHERE table_schema NOT IN ({{ database_names }}) AND ({{ is_guest }}));
SET @carya = IF(@carya = 0, 'DO 0', 'SELECT `logins for guests that have other powers: name new ones`');
PREPARE carya FROM @carya;
EXECUTE carya;
DEALLOCATE PREPARE carya;
