//! `lighter-daemon-wasmedge`: `lighter-daemon` with WasmEdge as an additional engine. Executed if containerd executes
//! the shim as `containerd-shim-wasmedge-v1`.

fn main() -> std::process::ExitCode {
    shim::daemon_main()
}
