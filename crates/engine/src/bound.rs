//! The bound on a guest's memory, which can change while the guest runs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The maximum size of a guest's linear memories together, in bytes. It is stored in a file as eight bytes,
/// little-endian: other holders of the file may change it, and the next growth obeys.
#[derive(Debug)]
pub struct Bound(File);

impl Bound {
    /// The bound that `file` holds.
    pub fn in_file(file: File) -> Self {
        Self(file)
    }

    /// Writes a bound to `file`; `None` is unlimited.
    ///
    /// # Errors
    /// The kernel's.
    pub fn write(file: &File, max: Option<u64>) -> io::Result<()> {
        file.write_all_at(&max.unwrap_or(u64::MAX).to_le_bytes(), 0)
    }

    /// The current bound, in bytes. If it cannot be read, it is 0.
    pub fn max(&self) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, 0).map_or(0, |()| u64::from_le_bytes(bytes))
    }
}

/// The error message for a guest whose initial memory of `bytes` bytes and table of `elements` elements exceed `bound`.
pub fn too_large(bytes: u64, elements: u64, bound: u64) -> String {
    let table = if elements == 0 { String::new() } else { format!(", and its table {elements} elements") };
    format!("its memory is {bytes} bytes from the start{table}, and the container's limit leaves it {bound}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_seen() {
        let file = tempfile::tempfile().unwrap();
        let bound = Bound::in_file(file.try_clone().unwrap());
        assert_eq!(bound.max(), 0, "nothing was written yet");
        Bound::write(&file, None).unwrap();
        assert_eq!(bound.max(), u64::MAX);
        Bound::write(&file, Some(5)).unwrap();
        assert_eq!(bound.max(), 5);
    }
}
