-- The database
--   Temporary tables outlive a request on a pooled connection; a schema of one's own is a place for code.
REVOKE CREATE, TEMPORARY ON DATABASE {{ database }} FROM PUBLIC;
REVOKE ALL ON DATABASE {{ database }} FROM {{ guests }};
GRANT CONNECT ON DATABASE {{ database }} TO {{ guests }};
