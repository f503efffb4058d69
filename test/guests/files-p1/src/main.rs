//! Performs the file operations of its arguments, `VERB=PATH` or `VERB=PATH=OTHER`, and prints a line for each: what it
//! read, `ok`, or `error` and preview 1's number for it.

use std::fs;
use std::io::{Error, Result};

pub fn main() {
    for argument in std::env::args().skip(1) {
        let words: Vec<&str> = argument.split('=').collect();
        let done = perform(&words).unwrap_or_else(|error| {
            error.raw_os_error().map_or_else(|| format!("error {error}"), |number| format!("error {number}"))
        });
        println!("{argument}: {done}");
    }
}

fn perform(words: &[&str]) -> Result<String> {
    let ok = |()| "ok".to_owned();
    match *words {
        ["read", path] => fs::read_to_string(path).map(|text| text.trim_end().to_owned()),
        ["write", path] => fs::write(path, "text").map(ok),
        ["length", path] => fs::metadata(path).map(|found| found.len().to_string()),
        ["kind", path] => fs::symlink_metadata(path).map(|found| format!("{:?}", found.file_type().is_symlink())),
        ["entries", path] => fs::read_dir(path).map(|found| found.count().to_string()),
        ["target", path] => fs::read_link(path).map(|target| target.display().to_string()),
        ["mkdir", path] => fs::create_dir(path).map(ok),
        ["rmdir", path] => fs::remove_dir(path).map(ok),
        ["rm", path] => fs::remove_file(path).map(ok),
        ["mv", path, other] => fs::rename(path, other).map(ok),
        ["ln", path, other] => fs::hard_link(path, other).map(ok),
        _ => Err(Error::other("no such verb")),
    }
}
