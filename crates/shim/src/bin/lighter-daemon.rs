//! `lighter-daemon`: a pod's daemon, and the clean-up after a killed one. Executed only by
//! `containerd-shim-lighter-v1`, with the arguments that containerd passed to it.

fn main() -> std::process::ExitCode {
    shim::daemon_main()
}
