//! Tries to leave the sandbox and returns the results as JSON: `null` for an attempt that succeeded, otherwise the
//! error.
//!
//! This is a separate component because a component that uses sockets has more imports than the other guests.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::{env, io};

use carya::host::database::Reader;
use carya::host::types::{Body, Response};
use exports::carya::host::read_controller::Guest;
use serde_json::{Value as Json, json};

wit_bindgen::generate!({ path: "../../../wit", world: "read-only-controller" });

struct Nosy;
export!(Nosy);

impl Guest for Nosy {
    fn read(_: Reader) -> Result<Response, String> {
        let found = json!({
            "args": env::args().collect::<Vec<_>>(),
            "vars": env::vars().collect::<Vec<_>>(),
            "read a file": attempt(fs::read("/etc/passwd")),
            "write a file": attempt(File::create("/tmp/nosy")),
            "list a folder": attempt(fs::read_dir(".")),
            "look up a name": attempt("localhost:80".to_socket_addrs()),
            "connect": attempt(TcpStream::connect("127.0.0.1:22")),
            "listen": attempt(TcpListener::bind("127.0.0.1:0")),
            "send": attempt(UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"nosy", "127.0.0.1:53"))),
        });
        Ok(Response { status: 200, headers: vec![], body: Body::Json(found.to_string()) })
    }
}

fn attempt<T>(result: io::Result<T>) -> Json {
    result.err().map(|error| error.to_string()).into()
}
