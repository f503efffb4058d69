//! What an image claims to be a Wasm file: its format, its world, and the module without its custom sections.

use workload::{Format, World, without_custom_sections};

use crate::Run;

/// See [`crate::Target`].
pub fn make() -> anyhow::Result<Run> {
    Ok(Box::new(|bytes| {
        let format = Format::sniff(&bytes[..bytes.len().min(Format::HEAD)]);
        let world = World::detect(bytes, None);
        let named = World::detect(bytes, Some("f"));
        for error in [&world, &named].into_iter().filter_map(|world| world.as_ref().err()) {
            assert!(!error.to_string().is_empty());
        }
        let plain = without_custom_sections(bytes);
        if format != Some(Format::Module) {
            return;
        }
        // Custom sections change nothing (except which error is found first), and one pass removes them all.
        if let Ok(plain) = plain {
            assert_eq!(World::detect(&plain, None).ok(), world.ok());
            assert_eq!(without_custom_sections(&plain).as_ref(), Ok(&plain));
        }
    }))
}
