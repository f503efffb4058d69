//! Notices that a cgroup's memory ran out.

use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use anyhow::Context;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::inotify;

use super::dirs::CgroupDirs;

/// A descriptor that becomes readable when the memory of a cgroup may have run out.
#[derive(Debug)]
pub struct OomNotice {
    notice: OwnedFd,
    /// Kept open: closing it ends the notifications.
    control: Option<File>,
}

impl OomNotice {
    /// Registers for notification: by an eventfd on v1, by inotify on v2. `None` where memory is not counted.
    ///
    /// # Errors
    /// Names the file that could not be watched.
    pub fn of(cgroup: &CgroupDirs) -> anyhow::Result<Option<Self>> {
        let Some(dir) = cgroup.of_controller("memory") else { return Ok(None) };
        if cgroup.unified().is_some() {
            let events = dir.join("memory.events");
            if !events.exists() {
                return Ok(None);
            }
            let notice = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
            inotify::add_watch(&notice, &events, inotify::WatchFlags::MODIFY)
                .with_context(|| format!("cannot watch {}", events.display()))?;
            return Ok(Some(Self { notice, control: None }));
        }
        let notice = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let path = dir.join("memory.oom_control");
        let control = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        fs::write(
            dir.join("cgroup.event_control"),
            format!("{} {}", notice.as_raw_fd(), control.as_raw_fd()),
        )
        .with_context(|| format!("cannot watch {}", path.display()))?;
        Ok(Some(Self { notice, control: Some(control) }))
    }

    /// Consumes the pending events, so that the descriptor is readable only for new ones. Returns whether one was
    /// about memory: on v2, the cgroup's removal causes events, too.
    pub fn take(&self) -> bool {
        if self.control.is_some() {
            return rustix::io::read(&self.notice, &mut [0; 8]).is_ok();
        }
        let mut space = [MaybeUninit::uninit(); 1024];
        let mut events = inotify::Reader::new(&self.notice, &mut space);
        let mut of_memory = false;
        while let Ok(event) = events.next() {
            of_memory |= event.events().contains(inotify::ReadFlags::MODIFY);
        }
        of_memory
    }
}

impl CgroupDirs {
    /// How many processes of the cgroup the OOM killer has killed.
    pub fn oom_kills(&self) -> u64 {
        let file = if self.unified().is_some() { "memory.events" } else { "memory.oom_control" };
        self.keyed("memory", file).get("oom_kill")
    }
}

impl AsFd for OomNotice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notice.as_fd()
    }
}

impl AsRawFd for OomNotice {
    fn as_raw_fd(&self) -> RawFd {
        self.notice.as_raw_fd()
    }
}
