//! `wasi:config`, for which there are no bindings: the declarations follow the canonical ABI of wit/config.wit.

#[link(wasm_import_module = "wasi:config/store@0.2.0-rc.1")]
unsafe extern "C" {
    fn get(key: *const u8, length: usize, answer: *mut Value);
    #[link_name = "get-all"]
    fn get_all(answer: *mut Values);
}

/// A string that the host has allocated with the guest's own `cabi_realloc`.
#[repr(C)]
struct Text {
    bytes: *mut u8,
    length: usize,
}

/// A tag with the alignment of a number.
#[repr(C, align(4))]
struct Aligned(u8);

/// `result<option<string>, error>`. An error has a kind and a string in the places of the option's tag and string.
#[repr(C)]
struct Value {
    is_error: u8,
    is_some: Aligned,
    text: Text,
}

/// `result<list<tuple<string, string>>, error>`. An error has its kind where the list has its place.
#[repr(C)]
struct Values {
    is_error: u8,
    pairs: *mut [Text; 2],
    length: usize,
    error_length: usize,
}

/// The value of `key`; `None` if it is not set, or cannot be read.
pub fn value(key: &str) -> Option<String> {
    let mut answer =
        Value { is_error: 0, is_some: Aligned(0), text: Text { bytes: std::ptr::null_mut(), length: 0 } };
    // SAFETY: the host reads the key and fills in the structure as the canonical ABI says.
    unsafe {
        get(key.as_ptr(), key.len(), &mut answer);
        (answer.is_error == 0 && answer.is_some.0 == 1).then(|| owned(answer.text))
    }
}

/// All keys and values, `NAME=value` per line, sorted.
pub fn all() -> Option<String> {
    let mut answer = Values { is_error: 0, pairs: std::ptr::null_mut(), length: 0, error_length: 0 };
    // SAFETY: the host fills in the structure as the canonical ABI says; a Vec owns and frees a list.
    let pairs = unsafe {
        get_all(&mut answer);
        (answer.is_error == 0).then(|| Vec::from_raw_parts(answer.pairs, answer.length, answer.length))?
    };
    // SAFETY: each string is in one pair, and each pair is taken once.
    let line = |[name, value]: [Text; 2]| unsafe { format!("{}={}\n", owned(name), owned(value)) };
    let mut lines: Vec<String> = pairs.into_iter().map(line).collect();
    lines.sort();
    Some(lines.concat())
}

/// # Safety
/// The text is one that the host has allocated, and that no one else owns.
unsafe fn owned(text: Text) -> String {
    // SAFETY: as above; the canonical ABI's strings are UTF-8.
    unsafe { String::from_raw_parts(text.bytes, text.length, text.length) }
}
