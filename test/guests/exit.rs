//! Exit codes. The standard library's `exit` supports success and failure only, 0 and 1.

#[link(wasm_import_module = "wasi:cli/exit@0.2.12")]
unsafe extern "C" {
    #[link_name = "exit-with-code"]
    fn exit_with_code(code: i32);
}

/// Ends the guest with this exit code.
pub fn exit(code: u8) -> ! {
    // SAFETY: the declaration is the canonical ABI's of the wit beside each guest; a number goes in, nothing
    // comes back.
    unsafe { exit_with_code(code.into()) };
    unreachable!("the host does not return from an exit")
}
