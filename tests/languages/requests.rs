//! Paths, query parameters, cookies, entity tags, problems and redirects.

use super::case::{Case, JAVASCRIPT};

pub fn cases() -> Vec<Case> {
    let mut cases = paths();
    cases.extend(problems());
    cases.extend(cookies());
    cases.extend(tags());
    cases
}

fn paths() -> Vec<Case> {
    let path = |path: &str| Case::new("GET", path);
    let shown = |name: &str, rest: &str, path: &str| {
        format!(
            r#"{{"all":[],"first":null,"header":null,"method":"GET","name":"{name}","path":"{path}","rest":"{rest}"}}"#
        )
    };
    let query = |query: &str, all: &str, first: &str| {
        let expected = format!(
            r#"{{"all":[{all}],"first":{first},"header":null,"method":"GET","name":"a","path":"/path/a/b","rest":"b"}}"#
        );
        Case::new("GET", format!("/path/a/b{query}")).returns(200, expected)
    };
    let not_found = r#"{"detail":"there is nothing at this path","status":404,"title":"Not Found"}"#;
    let beyond = "numbers of JavaScript are not exact beyond 2^53";
    vec![
        path("/path/a/b/c").returns(200, shown("a", "b/c", "/path/a/b/c")),
        path("/path/a%2Fb/c%2Fd/e").returns(200, shown("a/b", "c/d/e", "/path/a%2Fb/c%2Fd/e")),
        path("/path/%F0%9F%8C%B0/%C3%A4%20b").returns(200, shown("🌰", "ä b", "/path/%F0%9F%8C%B0/%C3%A4%20b")),
        path("/path/a+b/%22%5C").returns(200, shown("a+b", r#"\"\\"#, "/path/a+b/%22%5C")),
        path("/path/a/b").header("x-name", "a\"b").contains(200, &[r#""header":"a\"b""#]),
        Case::new("HEAD", "/path/a/b").returns(200, ""),
        Case::new("POST", "/path/a/b").fails(405).field("allow", "GET, HEAD, OPTIONS"),
        Case::new("GET", "/savepoint").fails(405).field("allow", "OPTIONS, POST"),
        path("/elsewhere").fails(404),
        query("?x=1&y=2&x=3", r#""1","3""#, r#""1""#),
        query("?x=&x", r#""","""#, r#""""#),
        query("?y=1", "", "null"),
        query("?x=%F0%9F%8C%B0+%2B%26", r#""🌰 +&""#, r#""🌰 +&""#),
        query("?x=%FFa%C3&x=%zz%", "\"\u{fffd}a\u{fffd}\",\"%zz%\"", "\"\u{fffd}a\u{fffd}\""),
        query("?x=a%00b", r#""a\u0000b""#, r#""a\u0000b""#),
        path("/search?word=a+%C3%A4%26&word=b").returns(200, r#"["a ä&"]"#).except(
            JAVASCRIPT,
            422,
            r#"{"detail":"some fields are not valid","errors":{"word":"#,
            "a repeated parameter is an array for a schema, which refuses it here",
        ),
        path("/search?word=%FF%E2%82%zz").returns(200, "[\"\u{fffd}\u{fffd}%zz\"]"),
        path("/search?word").returns(200, r#"[""]"#),
        path("/search?words=1").returns(200, "[null]"),
        path("/number/7").returns(200, r#"["7"]"#),
        path("/number/%20%2B7%20").returns(200, r#"["7"]"#),
        path("/number/-007").returns(200, r#"["-7"]"#),
        path("/number/-9223372036854775808")
            .returns(200, r#"["-9223372036854775808"]"#)
            .except(JAVASCRIPT, 404, not_found, beyond),
        path("/number/9223372036854775808").returns(404, not_found),
        path("/number/7.0").returns(404, not_found),
        path("/number/1_0").returns(404, not_found),
        path("/number/%D9%A3").returns(404, not_found),
        path("/number/7%00").returns(404, not_found),
        path("/number/0x7").returns(404, not_found),
    ]
}

fn problems() -> Vec<Case> {
    let fields = concat!(
        r#"{"detail":"some fields are not valid","errors":{"name":"must be \"short\"\n","größe":"must be \u0001, "#,
        "\u{7f} or \u{2028} 🌰",
        r#""},"status":422,"title":"Unprocessable Content"}"#
    );
    let problem = "application/problem+json";
    let mut cases = vec![
        Case::new("GET", "/problem/fields").returns(422, fields).field("content-type", problem),
        Case::new("GET", "/problem/login")
            .returns(401, r#"{"detail":"log in","status":401,"title":"Unauthorized"}"#)
            .field("www-authenticate", "Basic"),
    ];
    for (status, title) in [
        (400, "Bad Request"),
        (403, "Forbidden"),
        (404, "Not Found"),
        (405, "Method Not Allowed"),
        (409, "Conflict"),
        (410, "Gone"),
        (412, "Precondition Failed"),
        (413, "Content Too Large"),
        (415, "Unsupported Media Type"),
        (418, "Error"),
        (428, "Precondition Required"),
        (429, "Too Many Requests"),
        (500, "Internal Server Error"),
        (502, "Bad Gateway"),
        (503, "Service Unavailable"),
        (504, "Gateway Timeout"),
    ] {
        let body = format!(r#"{{"detail":"a detail","status":{status},"title":"{title}"}}"#);
        cases.push(Case::new("GET", format!("/problem/{status}")).returns(status, body));
    }
    cases
}

fn cookies() -> Vec<Case> {
    let cookie = |sent: &str, shown: &str, set: &str| {
        let set = format!("theme={set}; Path=/cookie; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
        Case::new("GET", "/cookie").header("cookie", sent).returns(200, format!("[{shown}]")).field("set-cookie", set)
    };
    let flash = |message: &str, encoded: &str| {
        let set = format!("flash={encoded}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
        Case::new("POST", "/flash").body(message).returns(303, "").field("location", "/flash").field("set-cookie", set)
    };
    let delete = "flash=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax";
    vec![
        cookie("", "null", "dark"),
        cookie("theme=light; theme=dark; other=x", r#""light""#, "light"),
        cookie("a=1; Theme=x", "null", "dark"),
        cookie("theme=", r#""""#, ""),
        cookie("theme=%F0%9F%8C%B0%20'(a)*!~-._", r#""🌰 '(a)*!~-._""#, "%F0%9F%8C%B0%20%27%28a%29%2A%21~-._"),
        // A value that is not UTF-8 after decoding stays as it is.
        cookie("theme=%41%FF", r#""%41%FF""#, "%2541%25FF"),
        cookie("theme=%zz%", r#""%zz%""#, "%25zz%25"),
        cookie("theme=a%00b", r#""a\u0000b""#, "a%00b"),
        flash("", ""),
        flash("Größe; \"ok\" 🌰\n", "Gr%C3%B6%C3%9Fe%3B%20%22ok%22%20%F0%9F%8C%B0%0A"),
        Case::new("POST", "/flash").body(*b"\xff").contains(400, &["the body is not UTF-8"]),
        Case::new("GET", "/flash").returns(200, "no message"),
        Case::new("GET", "/flash")
            .header("cookie", "flash=Gr%C3%B6%C3%9Fe")
            .returns(200, "Größe")
            .field("set-cookie", delete),
        Case::new("GET", "/flash").header("cookie", "flash=").returns(200, "").field("set-cookie", delete),
    ]
}

fn tags() -> Vec<Case> {
    let read = |held: &str| Case::new("GET", "/tagged/7").header("if-none-match", held).field("etag", "\"7\"");
    let change = |held: &str| Case::new("PUT", "/tagged/7").header("if-match", held);
    let changed = r#"{"detail":"this has changed since you read it","status":412,"title":"Precondition Failed"}"#;
    let unknown = r#"{"detail":"send the header `if-match` with the version that you read","status":428,"title":"Precondition Required"}"#;
    vec![
        read("\"6\"").returns(200, r#"["7"]"#),
        read("\"7\"").returns(304, ""),
        read("W/\"7\"").returns(304, ""),
        read("\"a\", W/\"7\" ,\"b\"").returns(304, ""),
        read("*").returns(304, ""),
        read("7").returns(200, r#"["7"]"#),
        Case::new("HEAD", "/tagged/7").header("if-none-match", "\"7\"").returns(304, ""),
        Case::new("GET", "/tagged/a%20%22%C3%A4%F0%9F%8C%B0%7E%00").field("etag", "\"a____~_\"").contains(200, &["🌰"]),
        change("\"7\"").returns(204, ""),
        change("*").returns(204, ""),
        change("W/\"7\"").returns(412, changed).field("etag", "\"7\""),
        change("\"6\", \"8\"").returns(412, changed).field("etag", "\"7\""),
        Case::new("PUT", "/tagged/7").returns(428, unknown),
    ]
}
