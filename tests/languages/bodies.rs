//! Bodies of requests: JSON, forms, texts and bytes.

use super::case::{Case, JAVASCRIPT, PYTHON};
use crate::support::Engine;

const PARSER: &str = "the text is that of the parser";

pub fn cases(engine: Engine) -> Vec<Case> {
    let mut cases = json();
    cases.extend(forms());
    cases.extend(texts(engine));
    cases
}

fn json() -> Vec<Case> {
    let send = |body: &[u8]| Case::new("POST", "/json").header("content-type", "application/json").body(body);
    let typed = |media_type: &str| Case::new("POST", "/json").header("content-type", media_type).body("{}");
    let other = r#"{"detail":"send JSON with the header `content-type: application/json`","status":415,"title":"Unsupported Media Type"}"#;
    let nested = |depth: usize| format!(r#"{{"deep":{}{},"text":"x"}}"#, "[".repeat(depth), "]".repeat(depth));
    let mut cases = vec![
        typed("Application/JSON; charset=utf-8").returns(200, "[null]"),
        typed("application/merge-patch+json").returns(200, "[null]"),
        typed("text/plain").returns(415, other),
        typed("application/x-www-form-urlencoded").returns(415, other),
        Case::new("POST", "/json").body("{}").returns(415, other),
        send(br#"{"text":"a"}"#).returns(200, r#"["a"]"#),
        send(br#"{"text":"a","text":"b"}"#).returns(200, r#"["b"]"#),
        send(r#"{"text":"\ud83c\udf30🌰\u0000\u2028\/"}"#.as_bytes()).returns(200, "[\"🌰🌰\\u0000\u{2028}/\"]"),
        send(br#"{"text":7}"#).returns(200, "[null]"),
        send(br#"{"__proto__":{"text":"a"}}"#).returns(200, "[null]"),
        send(br#"{"te\u0078t":"a"}"#).returns(200, r#"["a"]"#),
        send(b" [1, 2.5e3, -0, 1E+2, true, null] \n").returns(200, "[null]"),
        send(b"\"text\"").returns(200, "[null]"),
        send(b"null").returns(200, "[null]"),
        // Beyond 64 bits, and beyond 2^53.
        send(br#"{"number":123456789012345678901234567890,"text":"a"}"#).returns(200, r#"["a"]"#),
        send(nested(126).as_bytes()).returns(200, r#"["x"]"#),
        send(nested(127).as_bytes())
            .begins(400, r#"{"detail":"the body is not JSON"#, PARSER)
            .except(JAVASCRIPT, 200, r#"["x"]"#, "the parsers of JavaScript have no limit")
            .except(PYTHON, 200, r#"["x"]"#, "the limit of Python's parser is that of its stack"),
        send(br#"{"text":"\ud800"}"#).begins(400, r#"{"detail":"the body is not JSON"#, PARSER),
        send(br#"{"text":"\udf30\ud83c"}"#).begins(400, r#"{"detail":"the body is not JSON"#, PARSER),
        send(b"{\"text\":\"\xff\"}").begins(400, r#"{"detail":"the body is not "#, "not UTF-8, or not JSON"),
        send(b"\xef\xbb\xbf{\"text\":\"a\"}").begins(400, r#"{"detail":"the body is not JSON"#, PARSER),
    ];
    for wrong in [
        "",
        " ",
        "{",
        "{\"text\":\"a\"",
        "{'text':1}",
        "[1,]",
        "{\"a\":1,}",
        "{}{}",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "\"\n\"",
        "\"\\x\"",
        "\"\\u12\"",
        "tru",
        "[1]//",
        "{\"a\" 1}",
        "\u{a0}1",
    ] {
        cases.push(send(wrong.as_bytes()).begins(400, r#"{"detail":"the body is not JSON"#, PARSER));
    }
    cases
}

fn forms() -> Vec<Case> {
    let send =
        |body: &[u8]| Case::new("POST", "/form").header("content-type", "application/x-www-form-urlencoded").body(body);
    let multipart = |parts: &[(&str, &[u8])]| {
        let mut body = Vec::new();
        for (head, content) in parts {
            body.extend_from_slice(format!("--b\r\ncontent-disposition: form-data; {head}\r\n\r\n").as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--b--\r\n");
        Case::new("POST", "/form").header("content-type", "multipart/form-data; boundary=b").body(body)
    };
    let shown = |files: &str, text: &str| format!(r#"{{"files":[{files}],"text":{text}}}"#);
    let not_utf8 = r#"{"detail":"the field `text` is not UTF-8","status":400,"title":"Bad Request"}"#;
    let fields = "a=1&".repeat(1001);
    vec![
        send(b"text=a+%C3%A4%26&text=b&file=x").returns(200, shown("", r#""a ä&""#)),
        send(b"text=").returns(200, shown("", r#""""#)),
        send(b"other=1").returns(200, shown("", "null")),
        send(b"").returns(200, shown("", "null")),
        send(b"text=%F0%9F%8C%B0%00").returns(200, shown("", r#""🌰\u0000""#)),
        send(b"text=%FF").contains(200, &[]),
        send(fields.as_bytes()).contains(413, &["the form is too large: "]),
        Case::new("POST", "/form")
            .body("text=a")
            .contains(415, &["send a form: `application/x-www-form-urlencoded` or `multipart/form-data`"]),
        Case::new("POST", "/form")
            .header("content-type", "multipart/form-data")
            .body("text=a")
            .contains(400, &["the form is malformed: "]),
        Case::new("POST", "/form")
            .header("content-type", "multipart/form-data; boundary=b")
            .body("--b\r\nx")
            .contains(400, &["the form is malformed: "]),
        multipart(&[
            ("name=\"text\"", "ä%41\r\n".as_bytes()),
            ("name=\"file\"; filename=\"1.png\"\r\ncontent-type: image/png", b"\x00\xff"),
            ("name=\"other\"; filename=\"2.png\"", b"x"),
            ("name=\"file\"; filename=\"\u{1f330} \u{e4}.txt\"", b""),
            ("name=\"file\"", b"no file"),
        ])
        .returns(200, shown(r#"["1.png","image/png","00ff"],["🌰 ä.txt",null,""]"#, r#""ä%41\r\n""#)),
        multipart(&[("name=\"file\"; filename=\"\"", b"")]).contains(200, &[]),
        multipart(&[("name=\"text\"", b"\xff")]).returns(400, not_utf8),
        // The guest does not read the field, but the form is checked as a whole.
        multipart(&[("name=\"other\"", b"\xff"), ("name=\"text\"", b"a")])
            .contains(400, &["the field `other` is not UTF-8"]),
        multipart(&[("name=\"file\"; filename=\"x\"", b"\xff"), ("name=\"text\"", b"a")])
            .returns(200, shown(r#"["x",null,"ff"]"#, r#""a""#)),
    ]
}

fn texts(engine: Engine) -> Vec<Case> {
    let (large, bytes) = ("🌰ab\n".repeat(1 << 17), (0..1 << 20).map(|at| (at % 251) as u8).collect::<Vec<u8>>());
    let not_utf8 = r#"{"detail":"the body is not UTF-8","status":400,"title":"Bad Request"}"#;
    let text = |body: &[u8]| Case::new("POST", "/text").body(body);
    let delete = || Case::statement("POST", "execute", "DELETE FROM texts", &[]).returns(200, r#"{"affected":1}"#);
    let mut cases = vec![
        text(b"").returns(200, ""),
        delete(),
        text("\u{feff}🌰".as_bytes()).returns(200, "\u{feff}🌰"),
        delete(),
        text(b"a\xff").returns(400, not_utf8),
        text(b"\xed\xa0\x80").returns(400, not_utf8),
        // 917,504 bytes.
        text(large.as_bytes()).returns(200, large),
        delete(),
        Case::new("POST", "/bytes").returns(200, ""),
        Case::new("POST", "/bytes").body(*b"\x00\xff").returns(200, *b"\x00\xff"),
        Case::new("POST", "/bytes").body(bytes.clone()).returns(200, bytes),
        Case::new("POST", "/bytes").body(vec![0; 3 << 20]).fails(413),
    ];
    if engine != Engine::Postgres {
        cases.extend([text(b"a\0b").returns(200, "a\0b"), delete()]);
    }
    cases
}
