//! The back-ends of this build, and which of them runs a guest. The only file that names an engine.

use anyhow::bail;
use engine::Engine;
use workload::{Abi, World};

/// The engines, set up once in the nursery and inherited by every guest.
pub struct Engines(Vec<Box<dyn Engine>>);

impl Engines {
    /// Sets up every engine that was compiled in, in order of preference.
    ///
    /// # Errors
    /// When an engine cannot run on this machine at all.
    pub fn set_up() -> anyhow::Result<Self> {
        Ok(Self(vec![
            #[cfg(feature = "wasmtime")]
            Box::new(engine_wasmtime::Wasmtime::new()?),
        ]))
    }

    /// What compiled code must have been made by to be one of these engines'.
    pub fn fingerprint(&self) -> String {
        let each = self.0.iter().map(|engine| format!("{} {}", engine.name(), engine.fingerprint()));
        each.collect::<Vec<_>>().join(", ")
    }

    /// The first engine that runs `world`.
    ///
    /// # Errors
    /// Names the engines there are.
    pub fn for_world(&self, world: &World) -> anyhow::Result<&dyn Engine> {
        match self.0.iter().find(|engine| engine.lacks(world).is_none()) {
            Some(engine) => Ok(engine.as_ref()),
            None => {
                let names: Vec<_> = self.0.iter().map(|engine| engine.name()).collect();
                let needed = match world.abi {
                    Abi::Wasi03 => {
                        "it exports wasi:http/handler@0.3, which takes a shim built with the feature p3"
                    }
                    _ => "no engine runs it",
                };
                bail!("{needed}; this shim has {}", names.join(", "))
            }
        }
    }
}
