//! Reads the constraints of a table from the catalogue of PostgreSQL.

use sqlx::PgConnection;

use super::query_batch;
use crate::{
    database::constraint::{Table, literal},
    sql::error::DbError,
};

/// Returns the constraints and the unique indexes of a table. Returns none if there is no such table.
pub(in crate::database) async fn read_table(
    connection: &mut PgConnection,
    schema: &str,
    table: &str,
) -> Result<Table, DbError> {
    let (schema, table) = (literal(schema), literal(table));
    // Index columns with the number 0 are expressions, which have no row in `pg_attribute`.
    let sql = format!(
        "SELECT json_build_array(kind, name, attname)::text \
        FROM (\
            SELECT CASE contype WHEN 'f' THEN 'foreign-key' WHEN 'c' THEN 'check' WHEN 'x' THEN 'exclusion' \
                ELSE 'unique' END AS kind, conname AS name, conrelid AS relation, conkey AS key \
            FROM pg_constraint WHERE contype IN ('p', 'u', 'f', 'c', 'x') \
            UNION ALL \
            SELECT 'unique', relname, indrelid, (indkey::int2[])[0:indnkeyatts - 1] \
            FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid \
            WHERE indisunique AND NOT EXISTS (\
                SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x')\
            )\
        ) AS constraints \
        LEFT JOIN LATERAL unnest(key) WITH ORDINALITY AS part (number, place) ON true \
        LEFT JOIN pg_attribute ON attrelid = relation AND attnum = number \
        WHERE relation = (\
            SELECT pg_class.oid FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
            WHERE nspname = {schema} AND relname = {table}\
        ) \
        ORDER BY kind, name, place"
    );
    let rows = query_batch(connection, sql).await?;
    Ok(Table::of_rows(rows.iter().flatten()))
}
