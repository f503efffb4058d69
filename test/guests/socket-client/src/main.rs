//! Fetches its argument: `socket-client URL` prints the status and the body. It exits with 1, with
//! the error on stderr, if there is no answer.

use std::error::Error;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let url = std::env::args().nth(1).expect("usage: socket-client URL");
    match fetch(&url).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("socket-client: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn fetch(url: &str) -> Result<(), reqwest::Error> {
    let answer = reqwest::get(url).await?;
    println!("{}", answer.status().as_u16());
    print!("{}", answer.text().await?);
    Ok(())
}
