//! `lighter-daemon`: a pod's daemon, and what is to be done when one was killed. Executed by
//! `containerd-shim-lighter-v1` only, with the arguments that containerd gave that.

fn main() -> std::process::ExitCode {
    shim::daemon_main()
}
