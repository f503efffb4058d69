//! What needs no HTTP: arguments, environment, random bytes, memory, time.

use std::fmt::Write as _;
use std::hint::black_box;

const MIB: usize = 1 << 20;

/// The arguments, one per line.
pub fn args() -> String {
    std::env::args().map(|arg| arg + "\n").collect()
}

/// The environment, `NAME=value` per line, sorted.
pub fn env() -> String {
    let mut lines: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}\n")).collect();
    lines.sort();
    lines.concat()
}

/// Eight random bytes as hexadecimal digits.
pub fn random() -> String {
    let mut line = String::new();
    for byte in wasip2::random::random::get_random_bytes(8) {
        let _ = write!(line, "{byte:02x}");
    }
    line + "\n"
}

/// Allocates so many mebibytes and writes to each byte of them. They are returned to the guest's
/// allocator, which keeps them: a Wasm memory never shrinks.
pub fn memory(mebibytes: u64) -> &'static str {
    let mut taken: Vec<u8> = Vec::new();
    let bytes = usize::try_from(mebibytes).ok().and_then(|count| count.checked_mul(MIB));
    let Some(bytes) = bytes.filter(|bytes| taken.try_reserve_exact(*bytes).is_ok()) else {
        return "refused\n";
    };
    taken.resize(bytes, 1);
    black_box(&taken);
    "got\n"
}

/// Allocates so many mebibytes, and aborts if that fails.
pub fn greedy(mebibytes: u64) -> &'static str {
    let bytes = usize::try_from(mebibytes).unwrap_or(usize::MAX).saturating_mul(MIB);
    black_box(Vec::<u8>::with_capacity(bytes.min(isize::MAX.unsigned_abs())));
    "got\n"
}

/// Waits so many milliseconds.
pub fn sleep(milliseconds: u64) {
    wasip2::clocks::monotonic_clock::subscribe_duration(milliseconds.saturating_mul(1_000_000)).block();
}

/// Computes without end and without a call to the host.
pub fn burn() -> ! {
    let mut value: u64 = 1;
    loop {
        value = black_box(value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}

/// Ends the guest with this exit code.
pub fn exit(code: u64) -> ! {
    wasip2::cli::exit::exit_with_code(u8::try_from(code).unwrap_or(u8::MAX));
    unreachable!("the host does not return from an exit")
}
