-- PostgreSQL: logins for the guests of carya in the database {{ database_plain }}.
-- Run it as the owner of the database, preferably a superuser. It can be run repeatedly:
--   carya harden | psql -X -v ON_ERROR_STOP=1 -d {{ database_plain }}
-- It revokes privileges from PUBLIC, in this database only. Other logins that relied on them need a GRANT of their own.

BEGIN;
SET LOCAL client_min_messages = warning;
