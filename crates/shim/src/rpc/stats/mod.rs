//! Stats: what a container has used, in the message and the units that containerd knows the host's
//! version of cgroups by.

mod v1;
mod v2;

use container::cgroup::Folders;
use containerd_shim_protos::api::StatsResponse;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{MessageDyn, MessageField};
use ttrpc::{Code, Result};

use super::{StatusOf, status};
use crate::task::Task;

/// The metrics of a task: those of this moment, or the last there were of a cgroup that is gone.
pub fn of(task: &Task) -> Result<StatsResponse> {
    match stats(task) {
        Ok(stats) => {
            task.keep_stats(|_| Some(stats.clone()));
            Ok(stats)
        }
        Err(gone) => task.last_stats().ok_or(gone),
    }
}

/// The metrics of a task whose cgroup is there.
pub fn now(task: &Task) -> Option<StatsResponse> {
    stats(task).ok()
}

/// The metrics of a task whose cgroup is there. What a kernel does not count is 0; of guests that ended for want of
/// memory it knows nothing.
fn stats(task: &Task) -> Result<StatsResponse> {
    let (cgroup, wanted) = (&task.cgroup, task.oom.wanted());
    let metrics: Box<dyn MessageDyn> = if cgroup.unified().is_some() {
        Box::new(v2::metrics(cgroup, wanted))
    } else {
        Box::new(v1::metrics(cgroup, wanted))
    };
    // Asked last: what was read of a cgroup that is there now was read of one that was there.
    if !cgroup.exists() {
        return Err(status(Code::NOT_FOUND, "the container's cgroup is gone".into()));
    }
    let value = metrics.write_to_bytes_dyn().map_err(|error| StatusOf::from(anyhow::Error::from(error)))?;
    let type_url = metrics.descriptor_dyn().full_name().to_owned();
    let stats = MessageField::some(Any { type_url, value, ..Any::default() });
    Ok(StatsResponse { stats, ..StatsResponse::default() })
}

/// A device's name and its two limits: `mlx4_0 hca_handle=2 hca_object=max`.
fn rdma(line: &str) -> Option<(String, [u32; 2])> {
    let (device, rest) = line.split_once(' ')?;
    let of = |name: &str| {
        let value = rest.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.map_or(0, |value| value.trim().parse().unwrap_or(u32::MAX))
    };
    Some((device.to_owned(), [of("hca_handle"), of("hca_object")]))
}

/// The page sizes that the kernel counts huge pages of, as it writes them: `2MB`.
fn page_sizes(cgroup: &Folders, ending: &str) -> Vec<String> {
    let Some(folder) = cgroup.of_controller("hugetlb") else { return Vec::new() };
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |name: String| Some(name.strip_prefix("hugetlb.")?.strip_suffix(ending)?.to_owned());
    let mut sizes: Vec<_> =
        names.filter_map(|entry| entry.file_name().into_string().ok().and_then(size)).collect();
    // `2MB` and `2MB.rsvd` are counted apart; only the first is asked for.
    sizes.retain(|size| !size.contains('.'));
    sizes.sort();
    sizes
}

/// `MAJOR:MINOR` as two numbers.
fn device(text: &str) -> Option<(u64, u64)> {
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
