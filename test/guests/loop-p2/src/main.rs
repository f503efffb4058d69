//! Prints `ready` and never ends on its own: a guest to be stopped from outside.
//!
//! `loop-p2 spin|sleep|read`: a busy loop, a wait for a timer, or a wait for stdin.

use std::io::Read;
use std::time::Duration;

fn main() {
    let way = std::env::args().nth(1).unwrap_or_default();
    println!("ready");
    match way.as_str() {
        "sleep" => std::thread::sleep(Duration::from_secs(3600)),
        "read" => drop(std::io::stdin().read(&mut [0])),
        _ => loop {
            std::hint::spin_loop();
        },
    }
}
