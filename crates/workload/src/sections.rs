//! Removes from a core module what does not run.

use wasm_encoder::{Module, RawSection};
use wasmparser::{Parser, Payload};

use crate::WorldError;

/// The core module `wasm` without its custom sections: what tools have added to the code is not for the engine that
/// runs it.
///
/// # Errors
/// [`WorldError::Malformed`] if it is not a module.
pub fn without_custom_sections(wasm: &[u8]) -> Result<Vec<u8>, WorldError> {
    let mut plain = Module::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(|error| WorldError::Malformed(error.to_string()))?;
        let is_custom = matches!(payload, Payload::CustomSection(_));
        if let Some((id, range)) = payload.as_section().filter(|_| !is_custom) {
            // The parser announces a code section before it has checked that the section is complete.
            let data = wasm
                .get(range)
                .ok_or_else(|| WorldError::Malformed("a section ends behind the file".into()))?;
            plain.section(&RawSection { id, data });
        }
    }
    Ok(plain.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_kept() {
        let text =
            r#"(module (@custom "aot" "code") (func (export "_start")) (@custom "x" (after code) "y"))"#;
        let wasm = wat::parse_str(text).unwrap();
        assert!(wasm.windows(3).any(|bytes| bytes == b"aot"));
        let plain = without_custom_sections(&wasm).unwrap();
        assert_eq!(plain, wat::parse_str(r#"(module (func (export "_start")))"#).unwrap());
        assert!(without_custom_sections(&wasm[..wasm.len() - 1]).is_err());
        // A code section of 116 bytes, of which one is there.
        assert!(without_custom_sections(b"\0asm\x01\0\0\0\x0a\x74\0").is_err());
    }
}
