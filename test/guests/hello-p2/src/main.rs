//! Prints what a WASI 0.2 command sees of its spec, then exits with a code of the caller's choice.
//!
//! `hello-p2 CODE [FILE]`: the arguments, the environment, the working directory and the text of
//! FILE, one thing per line.

mod cwd;
#[path = "../../exit.rs"]
mod exit;

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let code = args.get(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    println!("args: {}", args.join(" "));
    for (name, value) in std::env::vars().filter(|(name, _)| name != "PATH") {
        println!("env: {name}={value}");
    }
    println!("cwd: {}", cwd::cwd().unwrap_or_default());
    if let Some(file) = args.get(2) {
        println!("file: {}", std::fs::read_to_string(file)?);
    }
    exit::exit(code)
}
