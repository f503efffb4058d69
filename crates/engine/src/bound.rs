//! The bound on a guest's memory, which may change while the guest runs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The most bytes of linear memory a guest may have, all its memories together. Eight bytes of a file,
/// little end first: whoever else holds the file may change them, and the next growth obeys.
#[derive(Debug)]
pub struct Bound(File);

impl Bound {
    /// The bound that `file` holds.
    pub fn in_file(file: File) -> Self {
        Self(file)
    }

    /// Writes a bound to `file`; `None` is unbounded.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn write(file: &File, most: Option<u64>) -> io::Result<()> {
        file.write_all_at(&most.unwrap_or(u64::MAX).to_le_bytes(), 0)
    }

    /// The bound now, in bytes. One that cannot be read allows nothing more.
    pub fn most(&self) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, 0).map_or(0, |()| u64::from_le_bytes(bytes))
    }
}

/// Why a guest is refused whose memory, of so many bytes, and table, of so many elements, are more from their start than
/// the bound leaves it: a sentence.
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
        assert_eq!(bound.most(), 0, "nothing was written yet");
        Bound::write(&file, None).unwrap();
        assert_eq!(bound.most(), u64::MAX);
        Bound::write(&file, Some(5)).unwrap();
        assert_eq!(bound.most(), 5);
    }
}
