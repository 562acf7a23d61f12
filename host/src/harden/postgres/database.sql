-- Database
--   Guests must not create schemas, or temporary tables, which outlive a request on a pooled connection.
REVOKE CREATE, TEMPORARY ON DATABASE {{ database }} FROM PUBLIC;
REVOKE ALL ON DATABASE {{ database }} FROM {{ guests }};
GRANT CONNECT ON DATABASE {{ database }} TO {{ guests }};
