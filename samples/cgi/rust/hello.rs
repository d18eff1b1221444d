//! A CGI program in Rust: greets whom the query names, and answers POST with the body in capitals.
use std::env;
use std::io::{self, Read, Write};

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn parameter(name: &str) -> Option<String> {
    variable("QUERY_STRING")
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_string())
}

fn main() -> io::Result<()> {
    let method = variable("REQUEST_METHOD");
    eprintln!("Rust answers {method}");

    let mut out = io::stdout().lock();
    out.write_all(b"Content-Type: text/plain; charset=utf-8\n\n")?;
    if method == "POST" {
        let mut body = Vec::new();
        io::stdin().read_to_end(&mut body)?;
        out.write_all(&body.to_ascii_uppercase())
    } else {
        let name = parameter("name").unwrap_or_else(|| "world".to_string());
        write!(out, "Hello, {name}, from Rust")
    }
}
