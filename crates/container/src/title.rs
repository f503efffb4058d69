//! Sets the arguments, environment and name by which process listings show a guest: its own, not those of the daemon
//! that it was forked from, which name containerd's socket.

#![expect(unsafe_code, reason = "a process's arguments are set by address")]

use std::ffi::CString;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use rustix::process::{
    PrctlMmMap, configure_virtual_memory_map, virtual_memory_map_config_struct_size as map_size,
};

/// The memory layout of this program, the same in this process and all its forks.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Start and end.
    code: [u64; 2],
    /// Start and end.
    data: [u64; 2],
    heap: u64,
    stack: u64,
}

impl Layout {
    /// That of the calling process; `None` on a kernel without `CONFIG_CHECKPOINT_RESTORE`, where no process can move
    /// its arguments. Needs /proc.
    ///
    /// # Errors
    /// When /proc does not show it.
    pub fn look() -> anyhow::Result<Option<Self>> {
        if map_size().is_err() {
            return Ok(None);
        }
        let stat = fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat")?;
        of_stat(&stat).context("/proc/self/stat does not say where this program is").map(Some)
    }

    /// Makes process listings show these arguments and variables, for good, and names the process after the file that
    /// the first argument names. The process must have one thread.
    ///
    /// # Errors
    /// When the kernel rejects it: the program's data counts against `RLIMIT_DATA`.
    pub fn show(&self, args: &[String], env: &[(String, String)]) -> anyhow::Result<()> {
        let ended = |text: &String| [text.as_bytes(), b"\0"].concat();
        let arguments = args.iter().flat_map(ended);
        let variables =
            env.iter().map(|(name, value)| format!("{name}={value}")).flat_map(|pair| ended(&pair));
        let arguments: &[u8] = arguments.collect::<Vec<_>>().leak();
        let variables: &[u8] = variables.collect::<Vec<_>>().leak();
        let ends = |bytes: &[u8]| {
            let range = bytes.as_ptr_range();
            [range.start as u64, range.end as u64]
        };
        let ([arg_start, arg_end], [env_start, env_end]) = (ends(arguments), ends(variables));
        // An empty slice has no address of its own.
        let [env_start, env_end] = if variables.is_empty() { [arg_end; 2] } else { [env_start, env_end] };
        ensure!(!arguments.is_empty(), "a guest has no arguments");
        // SAFETY: only reads the end of the heap.
        let brk = unsafe { libc::sbrk(0) } as u64;
        let map = PrctlMmMap {
            start_code: self.code[0],
            end_code: self.code[1],
            start_data: self.data[0],
            end_data: self.data[1],
            start_brk: self.heap,
            brk,
            start_stack: self.stack,
            arg_start,
            arg_end,
            env_start,
            env_end,
            auxv: std::ptr::null_mut(),
            auxv_size: 0,
            exe_fd: -1,
        };
        // SAFETY: all but arguments and environment keep their values, and no other thread moves the heap's end
        // meanwhile; the new strings are never freed. The kernel only records the addresses.
        unsafe { configure_virtual_memory_map(&map) }.context(
            "cannot show the guest's arguments as its own; does its RLIMIT_DATA leave room for the engine?",
        )?;
        let file = args.first().and_then(|first| Path::new(first).file_name());
        let name = file.and_then(|name| CString::new(name.as_encoded_bytes()).ok()).unwrap_or_default();
        rustix::thread::set_name(&name).context("cannot name the process after the guest")
    }
}

/// The fields are counted as in proc_pid_stat(5), from 1; the second, a name, may hold anything.
fn of_stat(stat: &str) -> Option<Layout> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok().filter(|address| *address != 0);
    Some(Layout {
        code: [field(26)?, field(27)?],
        data: [field(45)?, field(46)?],
        heap: field(47)?,
        stack: field(28)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_process_with_any_name_are_found() {
        let numbers: Vec<_> = (4..=52).map(|number| number.to_string()).collect();
        let layout = of_stat(&format!("7 (a) (b) c) S {}\n", numbers.join(" "))).unwrap();
        assert_eq!((layout.code, layout.data), ([26, 27], [45, 46]));
        assert_eq!((layout.heap, layout.stack), (47, 28));
        assert!(of_stat("7 (a) S 1 2 3").is_none() && of_stat("").is_none());
    }
}
