//! Values through the contract on MariaDB: the values that each type of column returns and accepts.

use serde_json::{Value as Json, json};

use crate::{
    script::{NUMBERS, attempt, config, kind, results},
    support::{App, Engine, Result, Wrong, check, check_eq, on_each_engine},
};

/// The type of a column, a literal, and the value that a guest reads: the case of the contract's `value` or, for the
/// case
/// `other`, the name of the type, and the text of the value.
const READ: &[(&str, &str, &str, &str)] = &[
    ("BOOLEAN", "TRUE", "boolean", "true"),
    ("BOOLEAN", "FALSE", "boolean", "false"),
    ("TINYINT(1)", "2", "int64", "2"),
    ("TINYINT(1)", "-128", "int64", "-128"),
    ("TINYINT(1) UNSIGNED", "255", "int64", "255"),
    ("TINYINT", "1", "int64", "1"),
    ("SMALLINT", "-32768", "int64", "-32768"),
    ("SMALLINT UNSIGNED", "65535", "int64", "65535"),
    ("MEDIUMINT", "-8388608", "int64", "-8388608"),
    ("MEDIUMINT UNSIGNED", "16777215", "int64", "16777215"),
    ("INT", "-2147483648", "int64", "-2147483648"),
    ("INT UNSIGNED", "4294967295", "int64", "4294967295"),
    ("INT(5) ZEROFILL", "42", "int64", "42"),
    ("BIGINT", "-9223372036854775808", "int64", "-9223372036854775808"),
    ("BIGINT UNSIGNED", "9223372036854775807", "int64", "9223372036854775807"),
    ("BIGINT UNSIGNED", "9223372036854775808", "BIGINT UNSIGNED", "9223372036854775808"),
    ("BIGINT UNSIGNED", "18446744073709551615", "BIGINT UNSIGNED", "18446744073709551615"),
    ("FLOAT", "0.1", "float64", "0.10000000149011612"),
    ("DOUBLE", "0.1", "float64", "0.1"),
    ("DOUBLE", "-0.30000000000000004e0", "float64", "-0.30000000000000004"),
    ("DECIMAL(10,2)", "1.5", "DECIMAL", "1.50"),
    ("DECIMAL(10,2) ZEROFILL", "1.5", "DECIMAL", "00000001.50"),
    (
        "DECIMAL(65,30)",
        "-12345678901234567890123456789012345.123456789012345678901234567890",
        "DECIMAL",
        "-12345678901234567890123456789012345.123456789012345678901234567890",
    ),
    (
        "DECIMAL(65,38)",
        "0.00000000000000000000000000000000000001",
        "DECIMAL",
        "0.00000000000000000000000000000000000001",
    ),
    ("BIT(1)", "b'1'", "int64", "1"),
    ("BIT(12)", "b'100000000001'", "int64", "2049"),
    ("BIT(64)", "0xffffffffffffffff", "BIT", "18446744073709551615"),
    ("DATE", "'1000-01-01'", "DATE", "1000-01-01"),
    ("DATE", "'9999-12-31'", "DATE", "9999-12-31"),
    ("TIME", "'00:00:00'", "TIME", "00:00:00"),
    ("TIME", "'-838:59:59'", "TIME", "-838:59:59"),
    ("TIME(1)", "'24:00:00'", "TIME", "24:00:00.0"),
    ("TIME(3)", "'-00:00:00.5'", "TIME", "-00:00:00.500"),
    ("TIME(6)", "'838:59:59.999999'", "TIME", "838:59:59.999999"),
    ("DATETIME", "'2024-02-29 00:00:00'", "DATETIME", "2024-02-29 00:00:00"),
    ("DATETIME(3)", "'2024-02-29 12:30:00.5'", "DATETIME", "2024-02-29 12:30:00.500"),
    ("DATETIME(6)", "'9999-12-31 23:59:59.999999'", "DATETIME", "9999-12-31 23:59:59.999999"),
    ("DATETIME(6)", "'2024-02-29'", "DATETIME", "2024-02-29 00:00:00.000000"),
    ("TIMESTAMP", "'1970-01-01 00:00:01'", "TIMESTAMP", "1970-01-01 00:00:01"),
    ("TIMESTAMP(6)", "'2038-01-19 03:14:07.000001'", "TIMESTAMP", "2038-01-19 03:14:07.000001"),
    ("YEAR", "2155", "YEAR", "2155"),
    ("YEAR", "0", "YEAR", "0000"),
    ("CHAR(5)", "'é  '", "text", "é"),
    ("VARCHAR(5)", "CONCAT('é', CHAR(92), '''  ')", "text", "é\\'  "),
    ("VARCHAR(5) CHARACTER SET latin1", "'é'", "text", "é"),
    ("VARCHAR(5) COLLATE utf8mb4_bin", "'😀'", "text", "😀"),
    ("TINYTEXT", "''", "text", ""),
    ("LONGTEXT", "'x'", "text", "x"),
    ("ENUM('a','b') COLLATE utf8mb4_bin", "'b'", "text", "b"),
    ("SET('a','b')", "'a,b'", "text", "a,b"),
    ("BINARY(3)", "x'00ff'", "bytes", "00ff00"),
    ("VARBINARY(3)", "x'00ff'", "bytes", "00ff"),
    ("LONGBLOB", "x''", "bytes", ""),
    ("JSON", "'{\"a\": 1.50}'", "text", "{\"a\": 1.50}"),
    ("UUID", "'67e55044-10b1-426f-9247-bb680e5fe0c8'", "text", "67e55044-10b1-426f-9247-bb680e5fe0c8"),
    ("INET6", "'::1'", "text", "::1"),
    ("UUID", "NULL", "null", ""),
    ("TIMESTAMP NULL", "NULL", "null", ""),
];

/// The type of a column, a value (case and text) that the column cannot store unchanged, and the number of the error.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    ("TINYINT", "int64", "128", "1264"),
    ("BIGINT UNSIGNED", "int64", "-1", "1264"),
    ("INT", "text", "12x", "1265"),
    ("INT", "text", "", "1366"),
    ("FLOAT", "float64", "1e39", "1264"),
    ("DECIMAL(4,2)", "DECIMAL", "100.00", "1264"),
    ("BIT(8)", "int64", "256", "1406"),
    ("VARCHAR(3)", "text", "four", "1406"),
    ("VARCHAR(3)", "bytes", "ff", "1366"),
    ("VARCHAR(3) CHARACTER SET latin1", "text", "😀", "1366"),
    ("VARBINARY(1)", "bytes", "0000", "1406"),
    ("ENUM('a')", "text", "b", "1265"),
    ("DATE", "DATE", "2023-02-29", "1292"),
    ("DATE", "DATE", "0000-00-00", "1292"),
    ("TIME", "TIME", "839:00:00", "1292"),
    ("TIMESTAMP", "TIMESTAMP", "2024-01-01T00:00:00Z", "1292"),
    ("YEAR", "YEAR", "1900", "1264"),
    ("JSON", "JSON", "{", "4025"),
];

fn value(case: &str, text: &str) -> Json {
    match case {
        "null" => json!({ "t": "null" }),
        "boolean" => json!({ "t": "boolean", "v": text == "true" }),
        "int64" | "float64" | "text" | "bytes" => json!({ "t": case, "v": text }),
        type_name => json!({ "t": "other", "v": { "type_name": type_name, "text": text } }),
    }
}

/// Serves an application with one table for each case: `t0`, `t1` and so on.
async fn serve(engine: Engine, cases: &[(&str, &str, &str, &str)]) -> Result<App> {
    let table = |(index, case): (usize, &(&str, &str, &str, &str))| {
        // Without `NULL`, the server would set a `TIMESTAMP` column to the current time at every update.
        let null = if case.0.ends_with("NULL") { "" } else { " NULL" };
        format!("CREATE TABLE t{index} (id INT PRIMARY KEY AUTO_INCREMENT, v {}{null});\n", case.0)
    };
    let tables: String = cases.iter().enumerate().map(table).collect();
    App::start_on(engine, &config(), &[("migrations/0001_tables.sql", &tables)]).await
}

async fn every_type_is_read_and_written_back(engine: Engine) -> Result {
    let app = serve(engine, READ).await?;
    let mut wrong = Wrong::default();
    for (index, (column, literal, case, text)) in READ.iter().enumerate() {
        let expected = value(case, text);
        let read = results(
            &app,
            "POST",
            &json!([
                { "sql": format!("INSERT INTO t{index} (v) VALUES ({literal})"), "op": "execute" },
                { "sql": format!("SELECT v, CAST(v AS CHAR) FROM t{index}") },
            ]),
        )
        .await?;
        check_eq!(wrong, read[1]["rows"][0][0], expected, "{column} {literal}");
        if expected["t"] == "other" && *case != "BIT" {
            check_eq!(wrong, read[1]["rows"][0][1]["v"], *text, "{column} {literal}: the server's own text");
        }
        let script = json!([
            { "sql": format!("INSERT INTO t{index} (v) VALUES (?)"), "op": "execute", "params": [expected] },
            { "sql": format!("SELECT v FROM t{index} WHERE v <=> ? ORDER BY id"), "params": [expected] },
        ]);
        let stored = results(&app, "POST", &script).await?;
        check_eq!(wrong, stored[1]["rows"], json!([[expected], [expected]]), "{column} {literal}");
    }
    Ok(())
}

async fn values_out_of_range_are_errors(engine: Engine) -> Result {
    let app = serve(engine, REFUSED).await?;
    let mut wrong = Wrong::default();
    for (index, (column, case, text, code)) in REFUSED.iter().enumerate() {
        let insert = json!({
            "sql": format!("INSERT INTO t{index} (v) VALUES (?)"), "op": "execute", "params": [value(case, text)],
        });
        let result = attempt(&app, "POST", insert).await?;
        check_eq!(wrong, result["error"]["code"], *code, "{column} {text}: {result}");
        // MariaDB stores JSON as text, with a CHECK constraint.
        let expected = if *code == "4025" { "constraint" } else { "data" };
        check_eq!(wrong, kind(&result), expected, "{column} {text}: {result}");
    }
    Ok(())
}

async fn parameters_keep_their_types(engine: Engine) -> Result {
    let app = serve(engine, &READ[..1]).await?;
    let text = |text: &str| value("text", text);
    let table = [
        // The server compares these two as decimals. As binary floating-point numbers they would be equal.
        (
            "SELECT CAST('1.0000000000000000001' AS DECIMAL(30,20)) = ?",
            value("DECIMAL", "1.0000000000000000002"),
            "int64",
            "0",
        ),
        ("SELECT ?", value("DECIMAL", "1.50"), "DECIMAL", "1.50"),
        ("SELECT 18446744073709551614 = ?", value("BIGINT UNSIGNED", "18446744073709551615"), "int64", "0"),
        // A parameter that is NULL or a boolean does not change the type of an expression with other values.
        ("SELECT COALESCE(?, 5)", value("null", ""), "int64", "5"),
        ("SELECT COALESCE(?, DATE'2024-01-01')", value("null", ""), "DATE", "2024-01-01"),
        ("SELECT COALESCE(?, 5)", value("boolean", "true"), "int64", "1"),
        ("SELECT TIME'100:00:00' > ?", value("TIME", "99:00:00"), "int64", "1"),
        ("SELECT ?1 || 'b' || ?1", text("a"), "text", "aba"),
        ("SELECT ?", text("a\0\\'\""), "text", "a\0\\'\""),
    ];
    let mut wrong = Wrong::default();
    for (sql, param, case, expected) in table {
        let read = results(&app, "GET", &json!([{ "sql": sql, "params": [param] }])).await?;
        check_eq!(wrong, read[0]["rows"], json!([[value(case, expected)]]), "{sql}");
    }
    for (sql, param) in [("SELECT ?", value("float64", "NaN")), ("SELECT ?", value("DECIMAL", "1e5"))] {
        let result = attempt(&app, "GET", json!({ "sql": sql, "params": [param] })).await?;
        check_eq!(wrong, kind(&result), "data", "{param}");
        check!(wrong, result["error"]["message"].to_string().contains("parameter 1"), "{sql:?} {param:?}: {result}");
    }
    Ok(())
}

async fn zero_dates_are_no_null(engine: Engine) -> Result {
    let types = [("DATE", "", "", ""), ("DATETIME", "", "", ""), ("TIMESTAMP(3)", "", "", "")];
    let app = serve(engine, &types).await?;
    let mut wrong = Wrong::default();
    for (index, text) in ["0000-00-00", "0000-00-00 00:00:00", "0000-00-00 00:00:00.000"].into_iter().enumerate() {
        let script = json!([
            { "sql": format!("INSERT IGNORE INTO t{index} (v) VALUES ('nonsense')"), "op": "execute" },
            { "sql": format!("SELECT v FROM t{index}") },
        ]);
        let type_name = types[index].0.trim_end_matches("(3)");
        check_eq!(
            wrong,
            results(&app, "POST", &script).await?[1]["rows"],
            json!([[value(type_name, text)]]),
            "{index:?} {text:?}"
        );
    }
    Ok(())
}

async fn geometry_is_refused_with_the_remedy(engine: Engine) -> Result {
    let app = serve(engine, &READ[..1]).await?;
    let result = attempt(&app, "GET", json!({ "sql": "SELECT POINT(1, 2) AS place" })).await?;
    let message = result["error"]["message"].to_string();
    assert!(message.contains("place") && message.contains("ST_AsText"), "{message}");
    let read = results(&app, "GET", &json!([{ "sql": "SELECT ST_AsText(POINT(1, 2))" }])).await?;
    assert_eq!(read[0]["rows"], json!([[value("text", "POINT(1 2)")]]));
    Ok(())
}

/// The types of columns, each with an expression for a random value. `i` is the number of the row.
const RANDOM: &[(&str, &str)] = &[
    ("BIGINT", "CAST((RAND() - 0.5) * 1.8e19 AS SIGNED)"),
    ("BIGINT UNSIGNED", "CAST(RAND() * 1.8446744073709e19 AS UNSIGNED)"),
    ("FLOAT", "(RAND() - 0.5) * POW(10, RAND() * 70 - 35)"),
    ("DOUBLE", "(RAND() - 0.5) * POW(10, RAND() * 600 - 300)"),
    (
        "DECIMAL(65,30)",
        "CAST(CONCAT(IF(RAND() < 0.5, '-', ''), i, '.', FLOOR(RAND() * 1e15), FLOOR(RAND() * 1e15)) AS DECIMAL(65,30))",
    ),
    ("BIT(64)", "CAST(RAND() * 1.8446744073709e19 AS UNSIGNED)"),
    ("DATE", "DATE_ADD('1000-01-01', INTERVAL RAND() * 3287181 DAY)"),
    ("DATETIME(6)", "DATE_ADD('1000-01-01', INTERVAL RAND() * 284012524800000000 MICROSECOND)"),
    ("TIMESTAMP(6)", "DATE_ADD('1970-01-02', INTERVAL RAND() * 2147300000000000 MICROSECOND)"),
    ("TIME(6)", "SEC_TO_TIME((RAND() - 0.5) * 2 * 3020398)"),
    ("YEAR", "1901 + RAND() * 254"),
    ("VARBINARY(20)", "LEFT(UNHEX(SHA1(RAND())), RAND() * 20)"),
    (
        "VARCHAR(20)",
        "CONVERT(UNHEX(CONCAT('F09F98', HEX(128 + FLOOR(RAND() * 64)), HEX(32 + FLOOR(RAND() * 90)))) USING utf8mb4)",
    ),
];

async fn random_values_come_back_as_they_were(engine: Engine) -> Result {
    let table = |(index, (column, expression)): (usize, &(&str, &str))| {
        format!(
            "CREATE TABLE t{index} (id INT PRIMARY KEY, v {column} NULL); CREATE TABLE u{index} LIKE t{index};
            INSERT INTO t{index} {NUMBERS} SELECT i, {expression} FROM n;\n"
        )
    };
    let tables: String = RANDOM.iter().enumerate().map(table).collect();
    let app = App::start_on(engine, &config(), &[("migrations/0001_tables.sql", &tables)]).await?;
    let mut wrong = Wrong::default();
    for (index, (column, _)) in RANDOM.iter().enumerate() {
        let shown = if ["BIT(64)", "VARBINARY(20)"].contains(column) { "HEX(v)" } else { "CAST(v AS CHAR)" };
        let sql = format!("SELECT v, {shown} FROM t{index} ORDER BY id");
        let read = results(&app, "GET", &json!([{ "sql": sql }])).await?;
        let rows = read[0]["rows"].as_array().ok_or("no rows")?;
        check_eq!(wrong, rows.len(), 900, "{column}");
        // For these types the text differs from the value: the server rounds binary floating-point numbers, and the
        // query returns bits and bytes as hexadecimal digits.
        if !["FLOAT", "DOUBLE", "BIT(64)", "VARBINARY(20)"].contains(column) {
            for row in rows {
                let text = if row[0]["t"] == "other" { &row[0]["v"]["text"] } else { &row[0]["v"] };
                check_eq!(wrong, *text, row[1]["v"], "{column}");
            }
        }
        let values: Vec<Json> = rows.iter().enumerate().map(|(at, row)| json!([at, row[0]])).collect();
        let script = json!([
            { "sql": format!("INSERT INTO u{index} VALUES (? + 1, ?)"), "op": "batch", "params": values },
            { "sql": format!("SELECT count(*) FROM t{index} JOIN u{index} ON t{index}.id = u{index}.id AND t{index}.v = u{index}.v") },
        ]);
        let same = results(&app, "POST", &script).await?;
        check_eq!(wrong, same[1]["rows"][0][0]["v"], "900", "{column}");
    }
    Ok(())
}

on_each_engine! {
    mariadb MariaDb:
    every_type_is_read_and_written_back,
    values_out_of_range_are_errors,
    parameters_keep_their_types,
    zero_dates_are_no_null,
    geometry_is_refused_with_the_remedy,
    random_values_come_back_as_they_were
}
