//! The interfaces of WASI that are offered to components, by version.

/// The export of a component that answers requests in WASI 0.3, without the version.
const ANSWERS: &str = "wasi:http/handler@";
/// The same in WASI 0.2.
const ANSWERS_02: &str = "wasi:http/incoming-handler@";
/// The export of a command, without the version.
const RUNS: &str = "wasi:cli/run@";

/// Whether a host of WASI 0.2 offers the interface `name` (`namespace:package/interface@version`).
pub fn offers_02(name: &str) -> bool {
    const PACKAGES: [&str; 7] = ["cli", "clocks", "filesystem", "http", "io", "random", "sockets"];
    let Some((path, version)) = parts(name) else { return false };
    let package = path.split_once('/').map_or("", |(package, _)| package);
    // Only drafts of the configuration interface exist.
    version.starts_with("0.2.") && path == "config/store" || is_02(version) && PACKAGES.contains(&package)
}

/// Whether a host of WASI 0.3 offers it in addition.
pub fn offers_03(name: &str) -> bool {
    const PACKAGES: [&str; 6] = ["cli", "clocks", "filesystem", "http", "random", "sockets"];
    let Some((path, version)) = parts(name) else { return false };
    is_03(version) && path.split_once('/').is_some_and(|(package, _)| PACKAGES.contains(&package))
}

/// Whether the export `name` answers requests in WASI 0.2.
pub fn answers_02(name: &str) -> bool {
    name.strip_prefix(ANSWERS_02).is_some_and(is_02)
}

/// Whether the export `name` is a command of WASI 0.2.
pub fn runs_02(name: &str) -> bool {
    name.strip_prefix(RUNS).is_some_and(is_02)
}

/// Whether the export `name` answers requests in a known version of WASI 0.3.
pub fn answers_03(name: &str) -> bool {
    name.strip_prefix(ANSWERS).is_some_and(is_03)
}

/// Whether the export `name` is a command of a known version of WASI 0.3.
pub fn runs_03(name: &str) -> bool {
    name.strip_prefix(RUNS).is_some_and(is_03)
}

/// Whether the export `name` is a handler or a command of an unknown version of WASI.
pub fn is_later(name: &str) -> bool {
    let later = |path| name.strip_prefix(path).is_some_and(|version| !is_02(version) && !is_03(version));
    later(ANSWERS) || later(RUNS)
}

/// Whether the export `name` is a handler or a command of a draft of WASI.
pub fn is_draft(name: &str) -> bool {
    let version = [ANSWERS, ANSWERS_02, RUNS].iter().find_map(|path| name.strip_prefix(path));
    version.is_some_and(|version| version.contains('-'))
}

fn is_02(version: &str) -> bool {
    version.starts_with("0.2.") && !version.contains('-')
}

/// Excludes the drafts before 0.3.0, which are incompatible with each other.
fn is_03(version: &str) -> bool {
    version.starts_with("0.3.") && !version.contains('-')
}

fn parts(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("wasi:").and_then(|name| name.split_once('@'))
}
