-- PostgreSQL: logins for the guests of carya in the database {{ database_plain }}.
-- Run it as the owner of the database, at best a superuser, as often as you like:
--   carya harden | psql -X -v ON_ERROR_STOP=1 -d {{ database_plain }}
-- It takes rights from PUBLIC in this database only. Other logins that worked by such a right lose it; GRANT it to them.

BEGIN;
SET LOCAL client_min_messages = warning;
