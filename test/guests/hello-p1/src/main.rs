//! Prints what a preview 1 command sees of its spec, then exits with a code of the caller's choice.
//!
//! `hello-p1 CODE [DIR]`: the arguments, the environment, the names in DIR and the number of lines
//! on stdin, one thing per line.

use std::io::BufRead;

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let code = args.get(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    println!("args: {}", args.join(" "));
    for (name, value) in std::env::vars().filter(|(name, _)| name != "PATH") {
        println!("env: {name}={value}");
    }
    if let Some(dir) = args.get(2) {
        for name in names(dir)? {
            println!("file: {name}");
        }
    }
    println!("stdin: {} lines", std::io::stdin().lock().lines().count());
    std::process::exit(code)
}

fn names(dir: &str) -> std::io::Result<Vec<String>> {
    let mut names = std::fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>, _>>()?;
    names.sort();
    Ok(names)
}
