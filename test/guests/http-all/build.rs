//! Passes the imports beyond wasi:http's own world to wasm-component-ld.

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo::rustc-link-arg=--component-type={here}/wit/config.wit");
}
