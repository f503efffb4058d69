//! A switch on the request's path, in WASI 0.3: each answer is made with futures and streams of the host.
//!
//! The text after the first `?` is the path's argument, taken as it is, without decoding.

mod answer;
mod host;

use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Request, Response};

struct Switch;

wasip3::http::service::export!(Switch);

impl Guest for Switch {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, argument) = target.split_once('?').unwrap_or((&target, ""));
        match path {
            "/" | "/hello" => Ok(answer::text("hello\n")),
            "/echo" => Ok(answer::echo(request)),
            "/pass" => Ok(answer::pass(request)),
            "/length" => Ok(answer::length(request).await),
            "/big" => Ok(answer::big(number(argument))),
            "/file" => Ok(answer::text(&host::file(argument).await.unwrap_or_else(error))),
            "/lookup" => Ok(answer::text(&host::lookup(argument).await.unwrap_or_else(error))),
            "/connect" => Ok(answer::text(&host::connect(argument).await.unwrap_or_else(error))),
            "/get" => Ok(host::get(argument).await.unwrap_or_else(|code| answer::text(&error(code)))),
            "/log" => {
                host::log(argument).await;
                Ok(answer::text("logged\n"))
            }
            "/sleep" => {
                wait_for(u64::from(number(argument)) * 1_000_000).await;
                Ok(answer::text("slept\n"))
            }
            "/burn" => loop {
                std::hint::black_box(());
            },
            "/trap" => core::arch::wasm32::unreachable(),
            "/late-trap" => Ok(answer::late_trap()),
            "/afterwards" => Ok(answer::afterwards(number(argument))),
            "/decline" => Err(ErrorCode::ConfigurationError),
            _ => Ok(answer::status(404, "no such path\n")),
        }
    }
}

fn number(argument: &str) -> u32 {
    argument.parse().unwrap_or(0)
}

fn error(code: impl std::fmt::Debug) -> String {
    format!("error: {code:?}\n")
}
