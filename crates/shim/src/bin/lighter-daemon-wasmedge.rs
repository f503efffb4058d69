//! `lighter-daemon-wasmedge`: `lighter-daemon` with one engine more. Executed where containerd knows the shim as
//! `containerd-shim-wasmedge-v1`.

fn main() -> std::process::ExitCode {
    shim::daemon_main()
}
