//! What a guest may reach, with a name server of our own.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod server;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use network::{Egress, Lookup, LookupError, Sources};
use server::{Asked, Table, serve};
use tempfile::TempDir;
use workload::Outbound;

const TABLE: Table =
    &[("a.example", "10.0.0.1 fd00::1"), ("b.example", "10.0.0.2"), ("shared.example", "10.0.0.1")];

struct Scene {
    _folder: TempDir,
    egress: Egress,
    asked: Asked,
    told: Arc<Mutex<Vec<String>>>,
}

async fn scene(outbound: Option<&str>, lookup: Option<&str>) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let (port, asked) = serve(Ipv4Addr::LOCALHOST, 0, TABLE).await;
    let (resolv_conf, hosts) = (folder.path().join("resolv.conf"), folder.path().join("hosts"));
    fs::write(&resolv_conf, "nameserver 127.0.0.1").unwrap();
    let sources = Sources { resolv_conf, hosts, port, look_again: Duration::ZERO };
    let told = Arc::new(Mutex::new(Vec::new()));
    let kept = told.clone();
    let tell = Box::new(move |line: &str| kept.lock().unwrap().push(line.to_owned()));
    let egress = Egress::new(Outbound::parse(outbound, lookup).unwrap(), Lookup::new(sources), tell);
    Scene { _folder: folder, egress, asked, told }
}

impl Scene {
    fn may(&self, address: &str) -> bool {
        self.egress.may_reach(address.parse().unwrap())
    }

    async fn finds(&self, host: &str, port: u16) -> String {
        match self.egress.resolve_allowed(host, port).await {
            Ok(found) => found.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        }
    }
}

#[test]
fn it_can_be_shared_by_threads() {
    fn check<T: Send + Sync>() {}
    check::<Egress>();
}

#[tokio::test]
async fn without_rules_everything_is_reached_and_nothing_told() {
    let scene = scene(None, None).await;
    assert!(scene.may("10.1.2.3:53") && scene.may("[::1]:1"));
    assert_eq!(scene.finds("a.example", 80).await, "10.0.0.1:80 [fd00::1]:80");
    assert!(scene.told.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_name_opens_its_addresses_once_it_was_looked_up() {
    let scene = scene(Some("a.example:443,shared.example:8080"), None).await;
    assert!(!scene.may("10.0.0.1:443"), "nobody knows yet whose address that is");
    scene.egress.lookup("A.Example.").await.unwrap();
    assert!(scene.may("10.0.0.1:443") && scene.may("[fd00::1]:443") && scene.may("[::ffff:10.0.0.1]:443"));
    assert!(!scene.may("10.0.0.1:80") && !scene.may("10.0.0.1:8080"));
    scene.egress.lookup("shared.example").await.unwrap();
    assert!(scene.may("10.0.0.1:443") && scene.may("10.0.0.1:8080"), "both names lead there");
    assert!(!scene.may("[fd00::1]:8080"));
}

#[tokio::test]
async fn a_name_that_is_not_allowed_is_not_asked_for() {
    let scene = scene(Some("a.example:443,10.9.0.0/16"), None).await;
    let refused = scene.egress.lookup("b.example").await.unwrap_err();
    let sentence = "the guest may not look up b.example: lighter.wasm/allowed-outbound does not name it";
    assert_eq!(refused, LookupError::Refused(sentence.into()));
    assert!(scene.asked.lock().unwrap().is_empty());
    assert_eq!(scene.egress.lookup("10.0.0.9").await.unwrap().len(), 1, "an address is no look-up");
    assert!(!scene.may("10.0.0.9:443"), "and opens nothing");
    assert!(scene.may("10.9.0.1:1"));
    scene.egress.lookup("b.example").await.unwrap_err();
    assert!(!scene.may("10.0.0.9:443"));
    let told = scene.told.lock().unwrap();
    let connect =
        "lighter: the guest may not connect to 10.0.0.9:443: lighter.wasm/allowed-outbound does not name it";
    assert_eq!(*told, [format!("lighter: {sentence}"), connect.to_owned()], "each once");
}

#[tokio::test]
async fn a_client_gets_what_may_be_reached() {
    let scene = scene(Some("a.example:443,10.0.0.2:80,[fd00::1]:8080"), Some("*.example")).await;
    assert_eq!(scene.finds("a.example", 443).await, "10.0.0.1:443 [fd00::1]:443");
    assert_eq!(scene.finds("a.example", 8080).await, "[fd00::1]:8080");
    assert_eq!(scene.finds("b.example", 80).await, "10.0.0.2:80", "by its address");
    assert_eq!(scene.finds("[fd00::1]", 8080).await, "[fd00::1]:8080");
    assert_eq!(scene.finds("10.0.0.2", 80).await, "10.0.0.2:80");
    let refused =
        "the guest may not connect to b.example:443: lighter.wasm/allowed-outbound does not name it";
    assert_eq!(scene.finds("b.example", 443).await, refused);
    assert_eq!(scene.finds("c.example", 443).await, "there is no host called c.example");
    let refused = "the guest may not look up elsewhere: lighter.wasm/allowed-lookup does not name it";
    assert_eq!(scene.finds("elsewhere", 443).await, refused);
    assert_eq!(scene.finds("a:b", 443).await, "\"a:b\" is not the name of a host");
}

#[tokio::test]
async fn localhost_is_a_name_like_any_other() {
    let scene = scene(Some("localhost:3500"), None).await;
    assert!(!scene.may("127.0.0.1:3500"));
    assert_eq!(scene.finds("localhost", 3500).await, "127.0.0.1:3500 [::1]:3500");
    assert!(scene.may("127.0.0.1:3500") && !scene.may("127.0.0.1:22"));
}

#[tokio::test]
async fn localhost_may_be_looked_up_by_all() {
    let scene = scene(Some("127.0.0.1:3500"), Some("")).await;
    assert_eq!(scene.finds("localhost", 3500).await, "127.0.0.1:3500");
    assert!(scene.may("127.0.0.1:3500") && !scene.may("127.0.0.1:22"));
}
