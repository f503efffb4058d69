//! Primes below eight million, twelve times: the loop of `sieve.wat` as a Linux program.

use std::io::Write as _;
use std::process::ExitCode;

const LIMIT: usize = 8_000_000;
const PRIMES: usize = 539_777;

fn main() -> ExitCode {
    let mut crossed_out = vec![0_u8; LIMIT];
    for _ in 0..12 {
        if count(&mut crossed_out) != PRIMES {
            return ExitCode::FAILURE;
        }
    }
    match std::io::stdout().write_all(b"done\n") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn count(crossed_out: &mut [u8]) -> usize {
    crossed_out.fill(0);
    let mut count = 0;
    for number in 2..crossed_out.len() {
        if crossed_out[number] != 0 {
            continue;
        }
        count += 1;
        let mut multiple = number * number;
        while multiple < crossed_out.len() {
            crossed_out[multiple] = 1;
            multiple += number;
        }
    }
    count
}
