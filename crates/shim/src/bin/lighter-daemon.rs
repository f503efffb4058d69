//! `lighter-daemon`: a pod's daemon, and what is to be done when one was killed. Executed by
//! `containerd-shim-lighter-v1` only, with the arguments that containerd gave that.

use std::process::ExitCode;

use anyhow::bail;
use shim::{daemon, delete};

fn main() -> ExitCode {
    shim::main(|flags| match flags.action.as_str() {
        "start" => daemon::run(flags),
        "delete" => delete::thoroughly(flags),
        _ => bail!("containerd-shim-lighter-v1 runs this program"),
    })
}
