//! `containerd-shim-lighter-v1`: what containerd executes for each container.

use std::process::ExitCode;

use anyhow::bail;
use shim::{delete, info, start};

fn main() -> ExitCode {
    shim::main(|flags| match flags.action.as_str() {
        _ if flags.version => info::print_version(),
        _ if flags.info => info::print_runtime_info(),
        "start" => start::start(flags),
        "delete" => delete::delete(flags),
        "" => bail!("containerd runs this program; it takes start, delete, -info or -version"),
        action => bail!("there is no action {action:?}; there are start, delete, -info and -version"),
    })
}
