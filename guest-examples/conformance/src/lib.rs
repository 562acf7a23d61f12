//! Controller that uses each part of the library once, for the tests that compare the languages.
//!
//! `conformance-js`, `conformance-python` and `conformance-c` return the same responses, byte for byte: change them
//! together. Statements, parameters and faults come from the request, so `tests/languages/` has the cases.

use carya_guest::{SetCookie, StatementResult, Value, prelude::*};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[carya_guest::routes]
mod conformance {
    use super::*;

    #[get("/query/{how}")]
    fn read(db: &Reader, Path(how): Path<String>, request: Request) -> Response {
        query(db, &how, request).unwrap_or_else(|error| (409, Json(describe(&error))).into_response())
    }

    #[post("/query/{how}")]
    fn write(db: &Writer, Path(how): Path<String>, request: Request) -> Response {
        let done = match &*how {
            "execute" => execute(db, request),
            _ => query(db, &how, request),
        };
        done.unwrap_or_else(|error| (409, Json(describe(&error))).into_response())
    }

    fn execute(db: &Writer, request: Request) -> Result<Response, DbError> {
        let done = db.execute(&sql(request), params(request))?;
        Ok(Json(json!({ "affected": done.rows_affected })).into_response())
    }

    /// Runs a statement inside a savepoint, and reports its error as a success.
    #[post("/savepoint")]
    fn savepoint(db: &Writer, request: Request) -> Result<Response, Problem> {
        let done = db.savepoint(|| {
            db.execute("INSERT INTO notes (name) VALUES ('inside')", ())?;
            db.run(&sql(request), &params(request))
        });
        db.execute("INSERT INTO notes (name) VALUES ('outside')", ())?;
        Ok(match done {
            Ok(result) => Json(shown(&result)).into_response(),
            Err(error) => Json(describe(&error)).into_response(),
        })
    }

    #[get("/path/{name}/{*rest}")]
    fn path(Path((name, rest)): Path<(String, String)>, request: Request) -> Json<serde_json::Value> {
        Json(json!({
            "all": request.query_all("x"),
            "first": request.query("x"),
            "header": request.header("x-name"),
            "method": request.method(),
            "name": name,
            "path": request.path(),
            "rest": rest,
        }))
    }

    #[get("/number/{number}")]
    fn number(Path(number): Path<i64>) -> Json<[String; 1]> {
        Json([number.to_string()])
    }

    #[get("/search")]
    fn search(Query(search): Query<Search>) -> Json<[Option<String>; 1]> {
        Json([search.word])
    }

    #[get("/problem/{kind}")]
    fn problem(Path(kind): Path<String>) -> Result<NoContent, Problem> {
        match &*kind {
            "fields" => Checks::new()
                .check("name", false, "must be \"short\"\n")
                .check("größe", false, "must be \u{1}, \u{7f} or \u{2028} 🌰")
                .check("name", false, "must be a name")
                .check("sound", true, "must be sound")
                .finish()?,
            "login" => return Err(Problem::unauthorized("log in").with_header("www-authenticate", "Basic")),
            status => return Err(Problem::new(status.parse()?).with_detail("a detail")),
        }
        Ok(NoContent)
    }

    #[post("/flash")]
    fn leave(message: String) -> Redirect {
        Redirect::to("/flash").flash(message)
    }

    #[get("/flash")]
    fn flash(flash: Flash) -> Response {
        let text = flash.message().unwrap_or("no message").to_owned();
        flash.forget(text)
    }

    #[get("/cookie")]
    fn cookie(cookies: Cookies) -> Response {
        let theme = cookies.get("theme");
        let cookie = SetCookie::new("theme", theme.as_deref().unwrap_or("dark")).max_age(60).path("/cookie").secure();
        Json([theme]).into_response().with_header("set-cookie", cookie.to_string())
    }

    #[get("/tagged/{version}")]
    fn tagged(Path(version): Path<String>) -> Tagged<Json<[String; 1]>> {
        ETag::of(&version).tag(Json([version]))
    }

    #[put("/tagged/{version}")]
    fn change(Path(version): Path<String>, held: IfMatch) -> Result<NoContent, Problem> {
        held.require(&ETag::of(version))?;
        Ok(NoContent)
    }

    #[post("/json")]
    fn parse(Json(body): Json<serde_json::Value>) -> Json<[Option<String>; 1]> {
        Json([body.get("text").and_then(|text| text.as_str()).map(str::to_owned)])
    }

    #[post("/form")]
    fn form(form: Multipart) -> Json<serde_json::Value> {
        let files = form.files("file").map(|file| json!([file.name, file.content_type, hex(file.content)]));
        Json(json!({ "files": files.collect::<Vec<_>>(), "text": form.text("text") }))
    }

    #[post("/text")]
    fn text(db: &Writer, text: String) -> Result<String, Problem> {
        db.execute("INSERT INTO texts (text) VALUES (?)", (&text,))?;
        Ok(db.fetch_one("SELECT text FROM texts", ())?)
    }

    #[post("/bytes")]
    fn bytes(body: Vec<u8>) -> Vec<u8> {
        body
    }

    /// Adds a note and fails, so that the note must not remain.
    #[post("/fail/{how}")]
    fn fail(db: &Writer, Path(how): Path<String>) -> Result<Response, Problem> {
        db.execute("INSERT INTO notes (name) VALUES ('lost')", ())?;
        let response = Response::new(204);
        match &*how {
            "error" => return Err(Problem::internal("a failure of the guest")),
            "trap" => panic!("a trap of the guest"),
            "recursion" => return Ok(response.with_status(depth(1))),
            "statement" => db.execute("UPDATE nowhere SET name = 'x'", ())?,
            "problem" => return Err(Problem::conflict("a problem of the client")),
            "marked" => {
                return Ok({
                    db.mark_rollback();
                    response
                });
            }
            "status" => return Ok(response.with_status(99)),
            "line-break" => return Ok(response.with_header("x-name", "a\nb")),
            _ => return Ok(response.with_header("content-length", "7")),
        };
        Ok(response)
    }

    #[post("/action/{how}")]
    fn act(db: &Writer, Path(how): Path<String>, text: String) -> Result<NoContent, Problem> {
        match &*how {
            "commit" => db.after_commit(&Note { text }, Delivery::AtLeastOnce)?,
            "broken" => db.after_commit(&Broken { text }, Delivery::AtMostOnce)?,
            _ => {
                db.after_rollback(&Note { text })?;
                return Err(Problem::conflict("a problem of the client"));
            }
        }
        Ok(NoContent)
    }

    #[derive(Serialize, Deserialize)]
    struct Note {
        text: String,
    }

    #[action]
    fn note(db: &Writer, job: Note, attempt: Attempt) -> Result<(), Problem> {
        let name = format!("{} {} {}", job.text, attempt.number, attempt.committed);
        db.execute("INSERT INTO notes (name) VALUES (?)", (name,))?;
        Ok(())
    }

    #[derive(Serialize, Deserialize)]
    struct Broken {
        text: String,
    }

    #[action]
    fn broken(db: &Writer, job: Broken) -> Result<(), Problem> {
        db.execute("INSERT INTO notes (name) VALUES (?)", (&job.text,))?;
        Err(Problem::internal(format!("a failure of the action: {}", job.text)))
    }
}

#[derive(Deserialize)]
struct Search {
    word: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    id: i64,
    name: String,
    weight: Option<i64>,
}

/// Runs the statement of the request with one function of the library.
fn query(db: &impl Db, how: &str, request: Request) -> Result<Response, DbError> {
    let (sql, params) = (sql(request), params(request));
    Ok(match how {
        "json" => db.fetch_json(&sql, params)?.into_response(),
        "first" => match db.fetch_optional_json(&sql, params)? {
            Some(row) => row.into_response(),
            None => Response::new(204),
        },
        "typed" => {
            let rows: Vec<Row> = db.fetch(&sql, params)?;
            let row = |row: &Row| json!([row.id.to_string(), row.name, row.weight.map(|weight| weight.to_string())]);
            Json(rows.iter().map(row).collect::<Vec<_>>()).into_response()
        }
        "rows" => Rows::json(sql, params).into_response(),
        "csv" => Rows::csv(sql, params).into_response(),
        _ => Json(shown(&db.run(&sql, &params)?)).into_response(),
    })
}

fn sql(request: Request) -> String {
    request.query("sql").unwrap_or_default()
}

/// Returns the parameters of the statement. They have the form in which `show` returns the values of a result.
fn params(request: Request) -> Vec<Value> {
    let value = |text: &String| match text.split_once(' ').unwrap_or((text, "")) {
        ("int", number) => number.parse().map_or(Value::Null, Value::Int64),
        ("float", bits) => {
            u64::from_str_radix(bits, 16).map_or(Value::Null, |bits| Value::Float64(f64::from_bits(bits)))
        }
        ("text", text) => Value::Text(text.to_owned()),
        ("bytes", digits) => Value::Bytes(unhex(digits)),
        ("true" | "false", _) => Value::Boolean(text == "true"),
        _ => Value::Null,
    };
    request.query_all("p").iter().map(value).collect()
}

/// Returns a result as JSON. Numbers are texts, because JSON has no 64-bit integers in JavaScript.
fn shown(result: &StatementResult) -> serde_json::Value {
    let columns: Vec<&str> = result.columns.iter().map(|column| &*column.name).collect();
    let rows: Vec<Vec<_>> = result.rows.iter().map(|row| row.iter().map(show).collect()).collect();
    json!({ "affected": result.rows_affected, "columns": columns, "rows": rows })
}

fn show(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Boolean(value) => Some(value.to_string()),
        Value::Int64(number) => Some(format!("int {number}")),
        Value::Float64(number) => Some(format!("float {:016x}", number.to_bits())),
        Value::Text(text) => Some(format!("text {text}")),
        Value::Bytes(bytes) => Some(format!("bytes {}", hex(bytes))),
        Value::Other(other) => Some(format!("text {}", other.text)),
    }
}

/// Returns all fields of an error.
fn describe(error: &DbError) -> serde_json::Value {
    let constraint = error.constraint.as_ref().map(|violation| {
        json!({
            "columns": violation.columns,
            "kind": kebab(&violation.kind),
            "name": violation.name,
            "table": violation.table,
        })
    });
    json!({
        "code": error.code,
        "constraint": constraint,
        "detail": error.detail,
        "hint": error.hint,
        "kind": kebab(&error.kind),
        "message": error.message,
        "retryable": error.retryable,
    })
}

/// Returns the name of an enum's case as in the contract: `read-only` for `DbErrorKind::ReadOnly`.
fn kebab(case: &impl std::fmt::Debug) -> String {
    let text = format!("{case:?}");
    let mut name = String::new();
    for letter in text.rsplit("::").next().unwrap_or_default().chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).filter_map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}

/// Calls itself until the stack is exhausted.
fn depth(level: u64) -> u16 {
    if level == 0 { 0 } else { std::hint::black_box(depth(std::hint::black_box(level + 1))).wrapping_add(1) }
}
