//! A container's `/etc/resolv.conf` and `/etc/hosts`, separated by a zero byte, and then names, a line each.
//!
//! No name server answers.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use network::{Egress, Sources};
use workload::Outbound;

use crate::Run;

/// See [`crate::Target`].
pub fn make() -> anyhow::Result<Run> {
    let runtime = super::hasty()?;
    let bounded = Outbound::parse(Some("*.example.com, 10.0.0.0/8:80"), None)?;
    Ok(Box::new(move |bytes| {
        let mut parts = bytes.splitn(3, |byte| *byte == 0);
        let mut next = || parts.next().unwrap_or_default();
        let written = fs::write("/resolv.conf", next()).and_then(|()| fs::write("/hosts", next()));
        assert!(written.is_ok(), "the directory is ours: {written:?}");
        let names = String::from_utf8_lossy(next()).into_owned();
        for outbound in [Outbound::everything(), bounded.clone()] {
            let egress = Arc::new(Egress::new([outbound], sources(), Box::new(|_| {})));
            for name in names.lines().take(4) {
                if let Ok(addresses) = runtime.block_on(egress.lookup(name)) {
                    assert!(!addresses.is_empty(), "{name}");
                    for ip in addresses {
                        let _ = egress.may_reach((ip, 80).into());
                    }
                }
            }
        }
    }))
}

/// Both files, whether or not they are mounts.
fn sources() -> Sources {
    Sources {
        resolv_conf: "/resolv.conf".into(),
        hosts: "/hosts".into(),
        port: 53,
        look_again: Duration::ZERO,
        mounted: false,
    }
}
