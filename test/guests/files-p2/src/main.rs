#[path = "../../files-p1/src/main.rs"]
mod files;

fn main() {
    files::main();
}
