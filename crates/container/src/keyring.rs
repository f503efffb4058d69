//! Gives each container a session keyring of its own, so that it cannot read the keys of the user who started it.

#![expect(unsafe_code, reason = "keyctl has no safe wrapper")]

use std::ffi::CString;
use std::io;

use anyhow::Context;
use workload::Workload;

/// Joins the session keyring that all of a container's processes share, creating it for the first, unless the
/// runtime's options disable it.
///
/// # Errors
/// When the kernel has keyrings and refuses one more.
pub(crate) fn join(workload: &Workload) -> anyhow::Result<()> {
    if workload.options.no_new_keyring {
        return Ok(());
    }
    let name = CString::new(format!("_ses.{}", workload.id)).context("a container's id has no zero byte")?;
    // SAFETY: the name is a string that ends with a zero byte and outlives the call.
    let joined = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) };
    match io::Error::last_os_error() {
        _ if joined >= 0 => Ok(()),
        // A kernel without keyrings has none to protect.
        error if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        error => Err(error).context("cannot make a session keyring for the container"),
    }
}
