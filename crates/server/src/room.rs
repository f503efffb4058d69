//! Limits the connections, of all clients and of each: by the settings and by the descriptors that are left.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use workload::Http;

use crate::respond::log;

/// At least so many of the process's descriptors, and at least a quarter, are never used for connections: the guest's
/// instances open files and connections of their own, by default up to 256 at once, and the process has some thirty.
const LEAST_RESERVED: u64 = 64;

/// The limits on connections.
pub struct Room {
    slots: Arc<Semaphore>,
    max: usize,
    peers: Option<Arc<Peers>>,
}

/// One connection, counted until this is dropped.
pub struct ConnectionSlot {
    _slot: OwnedSemaphorePermit,
    _peer: Option<PeerSlot>,
}

/// How many connections each client has.
struct Peers {
    max: usize,
    counts: Mutex<HashMap<IpAddr, usize>>,
    logged: AtomicBool,
}

struct PeerSlot(Arc<Peers>, IpAddr);

impl Room {
    /// The limits of `settings`, within the process's `RLIMIT_NOFILE`.
    pub fn new(settings: &Http) -> Self {
        let max = within(settings.connections, getrlimit(Resource::Nofile).current);
        let peers = |max| Peers { max, counts: Mutex::default(), logged: AtomicBool::new(false) };
        let peers = settings.connections_per_peer.map(|max| Arc::new(peers(max)));
        Self { slots: Arc::new(Semaphore::new(max)), max, peers }
    }

    /// Waits for a free slot.
    pub async fn free(&self) -> Option<OwnedSemaphorePermit> {
        // Nothing closes the semaphore.
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }

    /// Counts a connection from `peer`; `None` if that has as many as it may.
    pub fn take(&self, free: OwnedSemaphorePermit, peer: IpAddr) -> Option<ConnectionSlot> {
        let of_peer = match &self.peers {
            None => None,
            Some(peers) => Some(PeerSlot::admit(peers, peer.to_canonical())?),
        };
        Some(ConnectionSlot { _slot: free, _peer: of_peer })
    }

    /// Waits until all connections have ended.
    pub async fn empty(&self) {
        let all = u32::try_from(self.max).unwrap_or(u32::MAX);
        let _ = self.slots.acquire_many(all).await;
    }
}

impl PeerSlot {
    fn admit(peers: &Arc<Peers>, peer: IpAddr) -> Option<Self> {
        let mut counts = peers.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_default();
        if *count >= peers.max {
            drop(counts);
            if !peers.logged.swap(true, Ordering::Relaxed) {
                log(&format!(
                    "{peer} has {} connections, as many as lighter.wasm/http.connections-per-peer allows; its next are \
                     closed, and this is logged once",
                    peers.max
                ));
            }
            return None;
        }
        *count += 1;
        Some(Self(Arc::clone(peers), peer))
    }
}

impl Drop for PeerSlot {
    fn drop(&mut self) {
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}

/// `asked` connections, or as many as there are descriptors for; at least one.
fn within(asked: usize, descriptors: Option<u64>) -> usize {
    let Some(all) = descriptors else { return asked };
    let left = all.saturating_sub(LEAST_RESERVED.max(all / 4));
    asked.min(usize::try_from(left).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_descriptors_stays() {
        let check = |asked, all, max| assert_eq!(within(asked, all), max, "{asked} {all:?}");
        check(4096, None, 4096);
        check(4096, Some(1 << 20), 4096);
        check(4096, Some(1024), 768);
        check(4096, Some(200), 136);
        check(4096, Some(32), 1);
        check(2, Some(1024), 2);
    }

    #[test]
    fn each_client_has_its_own_limit() {
        let logged = AtomicBool::new(true);
        let peers = Arc::new(Peers { max: 2, counts: Mutex::default(), logged });
        let [one, other] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let first = PeerSlot::admit(&peers, one);
        let second = PeerSlot::admit(&peers, one);
        assert!(first.is_some() && second.is_some() && PeerSlot::admit(&peers, one).is_none());
        let others = PeerSlot::admit(&peers, other);
        drop(first);
        assert!(others.is_some() && PeerSlot::admit(&peers, one).is_some());
        drop((second, others));
        assert!(
            peers.counts.lock().unwrap().is_empty(),
            "the count of a client without connections is removed"
        );
    }
}
