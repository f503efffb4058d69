//! Components that run once: commands (`wasi:cli/run`), and functions without parameters.

use serde::{Deserialize, Serialize};

use super::{Outline, Start, Wasi, WorldError};
use crate::wasi;

/// A component that runs once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The WASI version of its imports.
    pub wasi: Wasi,
    /// Where it starts.
    pub start: Start,
    /// Whether its code has concurrent calls, by the asynchronous half of the component model's ABI: all of WASI 0.3,
    /// and what some tools make of programs for 0.2.
    pub concurrent: bool,
}

impl Command {
    pub(super) fn of(outline: &Outline, function: Option<&str>) -> Result<Self, WorldError> {
        let wasi = match function {
            Some(_) if outline.imports.iter().any(|name| wasi::offers_03(name)) => Wasi::P3,
            Some(_) => Wasi::P2,
            None if outline.exports(wasi::runs_03) => Wasi::P3,
            None => Wasi::P2,
        };
        let runs = outline.exports(wasi::runs_03) || outline.exports(wasi::runs_02);
        if function.is_none() && !runs {
            outline.check_versions()?;
        }
        outline.check_imports(wasi)?;
        let start = match function {
            Some(name) => outline.function(name)?,
            None if runs => Start::Command,
            None => {
                let wanted = "wasi:cli/run, wasi:http/incoming-handler or wasi:http/handler";
                return Err(outline.no_start(wanted));
            }
        };
        Ok(Self { wasi, start, concurrent: outline.concurrent || wasi == Wasi::P3 })
    }
}
