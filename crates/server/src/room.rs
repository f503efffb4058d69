//! How many connections there may be: as many as the settings say and as descriptors are left, of all clients and of one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use workload::Http;

use crate::respond::log;

/// Of the process's descriptors at least so many, and a quarter, are never a client's: the guest's copies open files
/// and connections of their own, by default up to 256 at once, and the process has some thirty.
const LEAST_RESERVED: u64 = 64;

/// The places for connections.
pub struct Room {
    places: Arc<Semaphore>,
    most: usize,
    peers: Option<Arc<Peers>>,
}

/// One connection's place; it is free again when this is dropped.
pub struct Place {
    _among_all: OwnedSemaphorePermit,
    _of_peer: Option<OfPeer>,
}

/// How many connections each client has.
struct Peers {
    most: usize,
    counts: Mutex<HashMap<IpAddr, usize>>,
    told: AtomicBool,
}

struct OfPeer(Arc<Peers>, IpAddr);

impl Room {
    /// As `settings` say, within the process's own limit.
    pub fn new(settings: &Http) -> Self {
        let most = within(settings.connections, getrlimit(Resource::Nofile).current);
        let peers = |most| Peers { most, counts: Mutex::default(), told: AtomicBool::new(false) };
        let peers = settings.connections_per_peer.map(|most| Arc::new(peers(most)));
        Self { places: Arc::new(Semaphore::new(most)), most, peers }
    }

    /// Waits until there is a place among all.
    pub async fn free(&self) -> Option<OwnedSemaphorePermit> {
        // Nothing closes the semaphore.
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// The place of one that has come from `peer`; `None` if that has enough.
    pub fn take(&self, free: OwnedSemaphorePermit, peer: IpAddr) -> Option<Place> {
        let of_peer = match &self.peers {
            None => None,
            Some(peers) => Some(OfPeer::admit(peers, peer.to_canonical())?),
        };
        Some(Place { _among_all: free, _of_peer: of_peer })
    }

    /// Waits until there is none left.
    pub async fn empty(&self) {
        let all = u32::try_from(self.most).unwrap_or(u32::MAX);
        let _ = self.places.acquire_many(all).await;
    }
}

impl OfPeer {
    fn admit(peers: &Arc<Peers>, peer: IpAddr) -> Option<Self> {
        let mut counts = peers.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_default();
        if *count >= peers.most {
            drop(counts);
            if !peers.told.swap(true, Ordering::Relaxed) {
                log(&format!(
                    "{peer} has {} connections, as many as lighter.wasm/http.connections-per-peer allows; its next are \
                     closed, and this is told once",
                    peers.most
                ));
            }
            return None;
        }
        *count += 1;
        Some(Self(Arc::clone(peers), peer))
    }
}

impl Drop for OfPeer {
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

/// Of `asked` connections those for which there are descriptors; at least one.
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
        let check = |asked, all, most| assert_eq!(within(asked, all), most, "{asked} {all:?}");
        check(4096, None, 4096);
        check(4096, Some(1 << 20), 4096);
        check(4096, Some(1024), 768);
        check(4096, Some(200), 136);
        check(4096, Some(32), 1);
        check(2, Some(1024), 2);
    }

    #[test]
    fn each_client_has_its_own() {
        let told = AtomicBool::new(true);
        let peers = Arc::new(Peers { most: 2, counts: Mutex::default(), told });
        let [one, other] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let first = OfPeer::admit(&peers, one);
        let second = OfPeer::admit(&peers, one);
        assert!(first.is_some() && second.is_some() && OfPeer::admit(&peers, one).is_none());
        let others = OfPeer::admit(&peers, other);
        drop(first);
        assert!(others.is_some() && OfPeer::admit(&peers, one).is_some());
        drop((second, others));
        assert!(peers.counts.lock().unwrap().is_empty(), "nothing is kept of who is gone");
    }
}
