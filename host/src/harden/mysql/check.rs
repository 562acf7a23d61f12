//! Finds rights of a login in MariaDB or MySQL that guests do not need. Every privilege in a grant that guests do not
//! need is a finding. Further queries check settings and tables.

use sqlx::{AssertSqlSafe, Connection, MySqlConnection, Row};

use super::{host_database, identifier, pattern, templates};
use crate::{
    database::host_tables::{OUTBOX_ADD, OUTBOX_DONE},
    harden::{
        finding::{Finding, Remedy, listed},
        names::{Names, failed},
    },
    sql::error::DbError,
};

/// Privileges, with the actions that they allow.
const POWERS: [(&str, &str); 16] = [
    ("ALL PRIVILEGES", "everything"),
    ("FILE", "files of the server to be read and written, where secure_file_priv permits it"),
    ("SUPER", "settings of the server to be changed and other sessions to be ended"),
    ("PROCESS", "statements of other sessions to be read"),
    ("RELOAD", "the whole server to be locked"),
    ("SHUTDOWN", "the server to be stopped"),
    ("CREATE USER", "logins to be made and changed"),
    ("LOCK TABLES", "an implicit commit, and locks that other requests wait for"),
    ("CREATE TEMPORARY TABLES", "tables that the next request on the connection finds"),
    ("EXECUTE", "stored programs that run with their owner's privileges and may commit"),
    ("CREATE", "an implicit commit, and new tables"),
    ("DROP", "tables to be emptied and dropped, and an implicit commit"),
    ("ALTER", "tables to be changed, and an implicit commit"),
    ("TRIGGER", "new code to run in other transactions"),
    ("EVENT", "new code to run while no request runs"),
    ("GRANT OPTION", "its privileges to be granted to other logins"),
];

const HARDEN: Remedy = Remedy::Harden;
const OTHER_LOGIN: Remedy = Remedy::Advice("name another login in [database], then carya harden --apply");

/// A query that returns names. If it returns at least one name, the names are reported as a finding.
struct Question {
    what: &'static str,
    sql: &'static str,
    allows: &'static str,
    remedy: Remedy,
    about: About,
}

/// Subject of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Both,
    Writer,
    /// The server, and not a login. The query runs for one login only.
    Server,
}

const QUESTIONS: [Question; 6] = [
    Question {
        what: "sees other databases:",
        sql:
            "SELECT schema_name FROM information_schema.schemata
            WHERE schema_name NOT IN (DATABASE(), {{ host_database_name }}, 'information_schema', 'performance_schema')",
        allows: "their data to be used, through privileges of all logins",
        remedy: Remedy::Advice(
            "revoke the privileges of all logins, as on `test`: DELETE FROM mysql.db WHERE user = ''",
        ),
        about: About::Both,
    },
    Question {
        what: "has no limit by max_statement_time",
        sql: "SELECT '' FROM information_schema.system_variables
            WHERE variable_name = 'MAX_STATEMENT_TIME' AND @@max_statement_time = 0",
        allows: "statements without a time limit where the host sets none",
        remedy: HARDEN,
        about: About::Both,
    },
    Question {
        // A definer has the form `login@host`.
        what: "calls procedures of the outbox that the login of admin_url has not defined:",
        sql: "SELECT CONCAT(routine_name, ' of ', definer) FROM information_schema.routines
            WHERE routine_schema = {{ host_database_name }} AND routine_name IN ('{{ outbox_add }}', '{{ outbox_done }}')
              AND (security_type <> 'DEFINER'
                OR LEFT(definer, CHAR_LENGTH(definer) - LOCATE('@', REVERSE(definer))) {{ is_not_owner }})",
        allows: "their definer to read the secret of the outbox, and to forge and drop actions",
        remedy: Remedy::Advice("run carya harden --apply, or its script as the login of database.admin_url"),
        about: About::Writer,
    },
    Question {
        what: "tables that are not InnoDB:",
        sql: "SELECT table_name FROM information_schema.tables
            WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' AND engine <> 'InnoDB'",
        allows: "writes that no rollback undoes",
        remedy: Remedy::Advice("ALTER TABLE ... ENGINE = InnoDB"),
        about: About::Server,
    },
    Question {
        what: "tables of the host in the application's database:",
        sql: "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()
            AND (LEFT(table_name, 6) = 'carya_' OR table_name = '_sqlx_migrations')",
        allows: "actions of other requests to be read, forged and deleted, and migrations to be marked as not applied",
        remedy: Remedy::Advice("move them by RENAME TABLE into the database of the same name with the suffix _carya"),
        about: About::Server,
    },
    Question {
        what: "local_infile is",
        sql: "SELECT 'ON' FROM DUAL WHERE @@local_infile",
        allows: "the server to request files from its clients, including the host",
        remedy: Remedy::Advice("set local_infile = 0 in the server's configuration"),
        about: About::Server,
    },
];

/// Returns findings for rights of a login that guests do not need.
pub(in crate::harden) async fn find_excess_rights(
    names: &Names,
    url: &str,
    writes: bool,
) -> Result<Vec<Finding>, DbError> {
    let failed = |error| failed(&error);
    let templates = templates(names)?;
    let mut connection = MySqlConnection::connect(url).await.map_err(failed)?;
    let login = &ask(&mut connection, "SELECT CURRENT_USER()").await.map_err(failed)?.join("");
    let mut grants = ask(&mut connection, "SHOW GRANTS").await.map_err(failed)?;
    // MariaDB supports this statement from version 10.11 on. Other servers return an error, and have no grants to
    // PUBLIC.
    grants.extend(ask(&mut connection, "SHOW GRANTS FOR PUBLIC").await.unwrap_or_default());
    let mut findings: Vec<Finding> = grants.iter().flat_map(|grant| beyond(grant, names, writes, login)).collect();
    for question in QUESTIONS.iter().filter(|question| writes || question.about == About::Both) {
        let sql = templates.render_text(question.sql)?;
        // The query for `max_statement_time` fails on MySQL, which has neither `information_schema.system_variables`
        // nor a time limit for a login.
        let Ok(found) = ask(&mut connection, &sql).await else { continue };
        if found.is_empty() {
            continue;
        }
        let who = if question.about == About::Server { String::new() } else { format!("{login} ") };
        let what = format!("{who}{} {}", question.what, listed(found)).trim_end().to_owned();
        findings.push(Finding { what, allows: question.allows.to_owned(), remedy: question.remedy });
    }
    connection.close().await.map_err(failed)?;
    Ok(findings)
}

/// Runs a statement, and returns the first column of its rows. Uses the text protocol, which supports all statements.
async fn ask(connection: &mut MySqlConnection, sql: &str) -> Result<Vec<String>, sqlx::Error> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(connection).await?;
    // Some servers send names as bytes.
    let text = |row: &sqlx::mysql::MySqlRow| {
        row.try_get_unchecked::<Vec<u8>, _>(0).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    rows.iter().map(text).collect()
}

/// Returns findings for the privileges in a grant that guests do not need.
fn beyond(grant: &str, names: &Names, writes: bool, login: &str) -> Vec<Finding> {
    let finding = |what: String, allows: &str, remedy| Finding { what, allows: allows.to_owned(), remedy };
    let Some((privileges, object, with_grant)) = parts(grant) else {
        // The grant is of a role, or of an unknown kind.
        return vec![finding(
            format!("{login} has: {}", grant.split(" IDENTIFIED").next().unwrap_or(grant)),
            "everything that it grants",
            OTHER_LOGIN,
        )];
    };
    let application = [pattern(&names.database), identifier(&names.database)].map(|name| format!("{name}."));
    let functions = [OUTBOX_ADD, OUTBOX_DONE]
        .map(|name| format!("PROCEDURE {}.{}", identifier(&host_database(names)), identifier(name)));
    // In a grant on a whole database an unescaped `_` is a wildcard. In a grant on a table it is a letter.
    let inside = object == format!("{}*", application[0])
        || application.iter().any(|name| object.starts_with(name.as_str())) && !object.ends_with(".*");
    let needed = |privilege: &str| match privilege.split(" (").next().unwrap_or_default() {
        "USAGE" => true,
        "SELECT" => inside,
        "EXECUTE" => writes && functions.iter().any(|name| name.eq_ignore_ascii_case(&object)),
        "INSERT" | "UPDATE" | "DELETE" => writes && inside,
        _ => false,
    };
    let extra = privileges.into_iter().chain(with_grant.then(|| "GRANT OPTION".to_owned()));
    let everywhere = object.starts_with("*.") || object.contains("@");
    let found = |privilege: String| {
        let known = POWERS.iter().find(|(name, _)| *name == privilege);
        let allows = known.map_or("more than guests need", |(_, allows)| allows);
        finding(format!("{login} has {privilege} on {object}"), allows, if everywhere { OTHER_LOGIN } else { HARDEN })
    };
    extra.filter(|privilege| !needed(privilege)).map(found).collect()
}

/// Splits ``GRANT a, b (c, d) ON `x`.* TO ...`` into the privileges, their object, and whether it has a GRANT OPTION.
fn parts(grant: &str) -> Option<(Vec<String>, String, bool)> {
    let rest = grant.strip_prefix("GRANT ")?;
    let (privileges, rest) = rest.split_once(" ON ")?;
    let (object, to) = rest.split_once(" TO ")?;
    let mut depth = 0_usize;
    let split = |letter: char| {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    };
    let privileges = privileges.split(split).map(|privilege| privilege.trim().to_owned()).collect();
    Some((privileges, object.to_owned(), to.contains("GRANT OPTION")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{config::Dialect, harden::names::Login};

    #[test]
    fn reports_privileges_that_guests_do_not_need() {
        let names = Names {
            dialect: Dialect::MySql,
            database: "my_app".to_owned(),
            reader: None,
            writer: Login { name: "w".to_owned(), password: None },
            owner: None,
            allow_functions: Vec::new(),
            statement_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(1),
        };
        for (grant, reader, writer) in [
            ("GRANT USAGE ON *.* TO `w`@`%` IDENTIFIED BY PASSWORD '*1' WITH MAX_STATEMENT_TIME 2.000000", 0, 0),
            (r"GRANT SELECT ON `my\_app`.* TO `w`@`%`", 0, 0),
            (r"GRANT SELECT, INSERT, UPDATE, DELETE ON `my\_app`.* TO `w`@`%`", 3, 0),
            ("GRANT SELECT ON `my_app`.* TO `w`@`%`", 1, 1),
            ("GRANT SELECT (a, b), INSERT (a) ON `my_app`.`t` TO `w`@`%`", 1, 0),
            (r"GRANT SELECT ON `my\_app`.* TO `w`@`%` WITH GRANT OPTION", 1, 1),
            ("GRANT INSERT ON `my_app_carya`.`carya_outbox` TO `w`@`%`", 1, 1),
            ("GRANT EXECUTE ON PROCEDURE `my_app_carya`.`carya_outbox_add` TO `w`@`%`", 1, 0),
            ("GRANT EXECUTE ON PROCEDURE `my_app_carya`.`carya_outbox_done` TO `w`@`%`", 1, 0),
            ("GRANT EXECUTE ON PROCEDURE `my_app_carya`.`other` TO `w`@`%`", 1, 1),
            ("GRANT SELECT ON `my_app_carya`.`carya_outbox` TO `w`@`%`", 1, 1),
            ("GRANT FILE, PROCESS ON *.* TO `w`@`%`", 2, 2),
            ("GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION", 2, 2),
            ("GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION", 2, 2),
            ("GRANT `dba` TO `w`@`%`", 1, 1),
            ("GRANT EXECUTE ON FUNCTION `my_app`.`f` TO `w`@`%`", 1, 1),
        ] {
            let count = |writes| beyond(grant, &names, writes, "w").len();
            assert_eq!((count(false), count(true)), (reader, writer), "{grant}");
        }
    }
}
