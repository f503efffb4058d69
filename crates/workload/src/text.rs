//! Converts WebAssembly text to binary, for images that hold text.

use thiserror::Error;

/// The text is not WebAssembly. Holds the parser's message, in one line.
#[derive(Debug, Error)]
#[error("it is not valid WebAssembly text: {0}")]
pub struct TextError(String);

/// The binary form of `text`.
///
/// # Errors
/// [`TextError`] with the line and what was expected there.
pub fn binary_of(text: &[u8]) -> Result<Vec<u8>, TextError> {
    let message = |error: wat::Error| error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    wat::parse_bytes(text).map(|binary| binary.into_owned()).map_err(|error| TextError(message(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_binary_or_a_sentence() {
        assert!(binary_of(b"(module)").is_ok_and(|binary| binary.starts_with(b"\0asm")));
        let error = binary_of(b"(module (fnuc))").unwrap_err().to_string();
        assert!(error.contains("not valid WebAssembly text") && !error.contains('\n'), "{error}");
    }
}
