//! WebAssembly text, as users and tenants write it.

use workload::{Format, World, binary_of};

use crate::Run;

/// See [`crate::Target`].
pub fn make() -> anyhow::Result<Run> {
    Ok(Box::new(|text| {
        let _ = Format::sniff(text);
        match binary_of(text) {
            Ok(binary) => drop(World::detect(&binary, None)),
            Err(error) => assert!(!error.to_string().contains('\n'), "not one line: {error}"),
        }
    }))
}
