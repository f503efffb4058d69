//! A switch on the request's path: each path uses another part of the host.
//!
//! The text after the first `?` is the path's argument, taken as it is, without decoding.

mod answer;
mod client;
mod config;
mod host;
mod pipe;
mod sockets;

use std::sync::atomic::{AtomicU32, Ordering};

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

use answer::{Answer, Failed};

struct All;

wasip2::http::proxy::export!(All);

/// The requests that this store has served.
static SERVED: AtomicU32 = AtomicU32::new(0);

impl Guest for All {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let served = SERVED.fetch_add(1, Ordering::Relaxed) + 1;
        let target = request.path_with_query().unwrap_or_default();
        let (path, argument) = target.split_once('?').unwrap_or((&target, ""));
        if path == "/silent" {
            return;
        }
        // A failure here means that the client or the upstream is gone: the body stays unfinished,
        // which the host notices.
        if let Err(Failed) = switch(path, argument, request, Answer::new(out), served) {
            eprintln!("http-all: the answer of {path} was cut short");
        }
    }
}

fn switch(
    path: &str,
    argument: &str,
    request: IncomingRequest,
    answer: Answer,
    served: u32,
) -> Result<(), Failed> {
    match path {
        "/" => answer.text("hello\n"),
        "/echo" => answer::echo(&request, answer),
        "/headers" => answer.text(&answer::described(&request)),
        "/trailers" => answer::trailers(&request, answer),
        "/sse" => answer::events(number(argument), answer),
        "/big" => answer::big(number(argument), answer),
        "/late-trap" => answer::late_trap(answer),
        "/mid-trap" => answer::mid_trap(&request, answer),
        // As programs that are made for one request.
        "/once" if served > 1 => core::arch::wasm32::unreachable(),
        "/once" => answer.text("once\n"),
        "/count" => answer.text(&format!("{served}\n")),
        "/args" => answer.text(&host::args()),
        "/env" => answer.text(&host::env()),
        "/config" if argument.is_empty() => answer.text(&config::all().ok_or(Failed)?),
        "/config" => match config::value(argument) {
            Some(value) => answer.text(&(value + "\n")),
            None => answer.status(404).text("no such key\n"),
        },
        "/file" => match std::fs::read(argument) {
            Ok(contents) => answer.bytes(&contents),
            Err(error) => answer.status(404).text(&format!("{error}\n")),
        },
        "/random" => answer.text(&host::random()),
        "/memory" => answer.text(host::memory(number(argument))),
        "/greedy" => answer.text(host::greedy(number(argument))),
        "/log" => {
            println!("{argument}");
            eprintln!("{argument}");
            answer.text("logged\n")
        }
        "/sleep" => {
            host::sleep(number(argument));
            answer.text("slept\n")
        }
        "/burn" => host::burn(),
        "/trap" => core::arch::wasm32::unreachable(),
        "/exit" => host::exit(number(argument)),
        "/get" => client::get(argument, answer),
        "/within" => client::within(argument, answer),
        "/post" => client::post(argument, &request, answer),
        "/connect" => answer.text(&sockets::ping(argument).unwrap_or_else(sockets::error)),
        "/lookup" => answer.text(&sockets::addresses(argument).unwrap_or_else(sockets::error)),
        _ => answer.status(404).text("no such path\n"),
    }
}

/// The argument as a number; 0 if it is none.
fn number(argument: &str) -> u64 {
    argument.parse().unwrap_or(0)
}
