//! The same as `files-p1`, on WASI 0.2.

#[path = "../../files-p1/src/main.rs"]
mod files;

fn main() {
    files::main();
}
