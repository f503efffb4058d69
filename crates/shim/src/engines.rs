//! The engines of this build, and the choice of the one that runs a guest. The only file that names an engine.

use std::env;
use std::ffi::OsString;

use anyhow::bail;
use engine::Engine;
use workload::{Choice, Options, World};

use crate::companion;

/// The engines, set up once in the nursery and inherited by every guest.
pub struct Engines {
    /// In order of preference.
    all: Vec<Box<dyn Engine>>,
    /// The one for guests that ask for none.
    default: Option<Choice>,
}

impl Engines {
    /// Sets up every engine of this build.
    ///
    /// # Errors
    /// When an engine cannot run on this machine at all.
    pub fn set_up() -> anyhow::Result<Self> {
        let all: Vec<Box<dyn Engine>> = vec![
            #[cfg(feature = "wasmtime")]
            Box::new(engine_wasmtime::Wasmtime::new()?),
            #[cfg(feature = "wasmedge")]
            Box::new(engine_wasmedge::WasmEdge::new()?),
        ];
        Ok(Self { all, default: companion::called() })
    }

    /// Identifies the code that these engines can run: their names, fingerprints and the default engine.
    pub fn fingerprint(&self) -> String {
        let default = self.default.as_ref().map(|choice| choice.engine.as_str());
        let each = self.all.iter().map(|engine| format!("{} {}", engine.name(), engine.fingerprint()));
        each.chain(default.map(|name| format!("{name} first"))).collect::<Vec<_>>().join(", ")
    }

    /// The engine that runs a guest of `world`: the one that its container or the runtime's name asks for, otherwise
    /// the first that supports the world. It must be among the engines that the runtime's option allows.
    ///
    /// # Errors
    /// When the requested engine is missing, lacks something (names it, and the engines that could run the guest), or
    /// is not allowed; when no engine runs it.
    pub fn choose(
        &self,
        world: &World,
        requested: Option<&Choice>,
        allowed: Option<&[String]>,
    ) -> anyhow::Result<&dyn Engine> {
        let could =
            || self.all.iter().filter(|engine| may(engine.name(), allowed) && engine.lacks(world).is_none());
        let Some(Choice { engine: name, said_by }) = requested.or(self.default.as_ref()) else {
            return match could().next() {
                Some(engine) => Ok(engine.as_ref()),
                None if allowed.is_some() => {
                    bail!("{}, and of this shim's ({}) none of those runs it", only(allowed), self.names())
                }
                None => bail!("no engine of this shim runs it: {}", self.lacking(world)),
            };
        };
        if !may(name, allowed) {
            bail!("{said_by} says {name:?}, and {}", only(allowed));
        }
        let others = could().map(|engine| engine.name()).collect::<Vec<_>>().join(", ");
        let others = if others.is_empty() { "no engine here could" } else { &format!("{others} could") };
        match self.all.iter().find(|engine| engine.name() == name) {
            None => bail!(
                "{said_by} says {name:?}, and this shim has no such engine built in ({}); {others}",
                self.names()
            ),
            Some(engine) => match engine.lacks(world) {
                None => Ok(engine.as_ref()),
                Some(lacks) => bail!("{said_by} says {name:?}, which {lacks}; {others}"),
            },
        }
    }

    /// The engine that compiled the code of a guest of `world`.
    ///
    /// # Errors
    /// When it is not built in, is not allowed, or cannot run such a guest.
    pub fn chosen(
        &self,
        name: &str,
        world: &World,
        allowed: Option<&[String]>,
    ) -> anyhow::Result<&dyn Engine> {
        if !may(name, allowed) {
            bail!("its code is of the engine {name}, and {}", only(allowed));
        }
        let Some(engine) = self.all.iter().find(|engine| engine.name() == name) else {
            bail!("its code is of the engine {name}, which this shim has not built in ({})", self.names());
        };
        match engine.lacks(world) {
            None => Ok(engine.as_ref()),
            Some(lacks) => bail!("its code is of the engine {name}, which {lacks}"),
        }
    }

    /// Their names, separated by commas.
    pub fn names(&self) -> String {
        self.all.iter().map(|engine| engine.name()).collect::<Vec<_>>().join(", ")
    }

    fn lacking(&self, world: &World) -> String {
        let each =
            self.all.iter().filter_map(|engine| Some(format!("{} {}", engine.name(), engine.lacks(world)?)));
        each.collect::<Vec<_>>().join(", ")
    }
}

/// containerd's variable for the path of an engine's plug-ins, if the runtime's options allow loading them.
// Inline: a call into this codegen unit would link the engines into the small program of `start`.
#[inline]
pub fn plugins(options: &Options) -> Option<(&'static str, OsString)> {
    const WASMEDGE: &str = "WASMEDGE_PLUGIN_PATH";
    if options.wasmedge_plugins { Some((WASMEDGE, env::var_os(WASMEDGE)?)) } else { None }
}

fn may(name: &str, allowed: Option<&[String]>) -> bool {
    allowed.is_none_or(|allowed| allowed.iter().any(|engine| engine == name))
}

/// A clause that lists the allowed engines.
fn only(allowed: Option<&[String]>) -> String {
    let listed = match allowed.unwrap_or_default() {
        [] => "none".into(),
        some => format!("only {}", some.join(", ")),
    };
    format!("the runtime's option Engines allows {listed}")
}
