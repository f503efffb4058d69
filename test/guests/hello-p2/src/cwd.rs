//! The initial working directory of the host, which the standard library does not use.

/// `option<string>` as the canonical ABI returns it: its tag, then the string's address and length.
#[repr(C)]
struct OptionalString {
    is_some: u8,
    bytes: *mut u8,
    length: usize,
}

#[link(wasm_import_module = "wasi:cli/environment@0.2.12")]
unsafe extern "C" {
    #[link_name = "initial-cwd"]
    fn initial_cwd(answer: *mut OptionalString);
}

/// The working directory of the spec, if the host provides one.
pub fn cwd() -> Option<String> {
    let mut answer = OptionalString {
        is_some: 0,
        bytes: std::ptr::null_mut(),
        length: 0,
    };
    // SAFETY: the host fills in the structure as the canonical ABI says, and has allocated the
    // string with the guest's own `cabi_realloc`, so that it is a String's to free.
    unsafe {
        initial_cwd(&mut answer);
        (answer.is_some == 1)
            .then(|| String::from_raw_parts(answer.bytes, answer.length, answer.length))
    }
}
