//! Parsers for the formats that both cgroup versions share.

use container::cgroup::CgroupDirs;

/// Parses an RDMA device's name and its two limits: `mlx4_0 hca_handle=2 hca_object=max`.
pub fn rdma(line: &str) -> Option<(String, [u32; 2])> {
    let (device, rest) = line.split_once(' ')?;
    let of = |name: &str| {
        let value = rest.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.map_or(0, |value| value.trim().parse().unwrap_or(u32::MAX))
    };
    Some((device.to_owned(), [of("hca_handle"), of("hca_object")]))
}

/// The huge page sizes for which the kernel has counters, in its notation: `2MB`.
pub fn page_sizes(cgroup: &CgroupDirs, ending: &str) -> Vec<String> {
    let Some(dir) = cgroup.of_controller("hugetlb") else { return Vec::new() };
    let names = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |name: String| Some(name.strip_prefix("hugetlb.")?.strip_suffix(ending)?.to_owned());
    let mut sizes: Vec<_> =
        names.filter_map(|entry| entry.file_name().into_string().ok().and_then(size)).collect();
    // `2MB` and `2MB.rsvd` have separate counters; only the first is reported.
    sizes.retain(|size| !size.contains('.'));
    sizes.sort();
    sizes
}

/// Parses `MAJOR:MINOR`.
pub fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_devices() {
        assert_eq!(rdma("mlx4_0 hca_handle=2 hca_object=max\n"), Some(("mlx4_0".into(), [2, u32::MAX])));
        assert_eq!(rdma("odd"), None);
        assert_eq!(device("8:16"), Some((8, 16)));
        assert_eq!(device("Total"), None);
    }
}
