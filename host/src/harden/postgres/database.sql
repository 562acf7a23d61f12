-- Database
--   No temporary tables, which outlive a request on a pooled connection, and no schemas for code of guests.
REVOKE CREATE, TEMPORARY ON DATABASE {{ database }} FROM PUBLIC;
REVOKE ALL ON DATABASE {{ database }} FROM {{ guests }};
GRANT CONNECT ON DATABASE {{ database }} TO {{ guests }};
