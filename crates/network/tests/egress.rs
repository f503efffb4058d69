//! What a guest may reach, with a name server of our own.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod server;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use network::{Egress, LookupError, Sources};
use server::{Asked, Table, serve};
use tempfile::TempDir;
use workload::Outbound;

const TABLE: Table = &[
    ("a.example", "10.0.0.1 fd00::1"),
    ("b.example", "10.0.0.2"),
    ("shared.example", "10.0.0.1"),
    ("mixed.example", "169.254.169.254 10.0.0.3"),
    ("here.example", "127.0.0.1 0.0.0.0 ::1 :: ::ffff:127.0.0.1 64:ff9b::7f00:1"),
    ("link.example", "169.254.169.254 fe80::1 224.0.0.1 255.255.255.255"),
    ("dns.example", "10.0.0.53"),
];

struct Scene {
    dir: TempDir,
    port: u16,
    egress: Egress,
    asked: Asked,
    reported: Arc<Mutex<Vec<String>>>,
}

async fn scene(outbound: Option<&str>, lookup: Option<&str>) -> Scene {
    scene_of([Outbound::parse(outbound, lookup).unwrap()]).await
}

async fn scene_of<const N: usize>(rules: [Outbound; N]) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let (port, asked) = serve(Ipv4Addr::LOCALHOST, 0, TABLE).await;
    let (resolv_conf, hosts) = (dir.path().join("resolv.conf"), dir.path().join("hosts"));
    // The second one is never queried.
    fs::write(&resolv_conf, "nameserver 127.0.0.1\nnameserver 10.0.0.53").unwrap();
    let sources = Sources { resolv_conf, hosts, port, look_again: Duration::ZERO, mounted: false };
    let reported = Arc::new(Mutex::new(Vec::new()));
    let kept = reported.clone();
    let sink = Box::new(move |line: &str| kept.lock().unwrap().push(line.to_owned()));
    let egress = Egress::new(rules, sources, sink);
    Scene { dir, port, egress, asked, reported }
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
async fn without_rules_everything_is_reached_and_nothing_reported() {
    let scene = scene(None, None).await;
    assert!(scene.may("10.1.2.3:53") && scene.may("[::1]:1"));
    assert_eq!(scene.finds("a.example", 80).await, "10.0.0.1:80 [fd00::1]:80");
    assert!(scene.reported.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_name_opens_its_addresses_once_it_was_looked_up() {
    let scene = scene(Some("a.example:443,shared.example:8080"), None).await;
    assert!(!scene.may("10.0.0.1:443"), "the name was not resolved yet");
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
    let reported = scene.reported.lock().unwrap();
    let connect =
        "lighter: the guest may not connect to 10.0.0.9:443: lighter.wasm/allowed-outbound does not name it";
    assert_eq!(*reported, [format!("lighter: {sentence}"), connect.to_owned()], "each once");
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

/// The server that answers for a name could also name this machine, or the metadata service with its secrets.
#[tokio::test]
async fn a_name_leads_to_no_special_address() {
    let scene = scene(Some("*.example:80"), None).await;
    let refused = |name| {
        format!("the guest may not connect to {name}:80: lighter.wasm/allowed-outbound does not name it")
    };
    assert_eq!(scene.finds("mixed.example", 80).await, "10.0.0.3:80");
    for name in ["here.example", "link.example"] {
        assert_eq!(scene.finds(name, 80).await, refused(name));
    }
    for address in ["127.0.0.1:80", "0.0.0.0:80", "[::1]:80", "[::]:80", "[::ffff:127.0.0.1]:80"] {
        assert!(!scene.may(address), "{address}");
    }
    for address in ["169.254.169.254:80", "[fe80::1]:80", "224.0.0.1:80", "255.255.255.255:80"] {
        assert!(!scene.may(address), "{address}");
    }
    let reported = scene.reported.lock().unwrap();
    let sentence = "lighter: the guest may not reach 169.254.169.254 by the name mixed.example: it is link-local, and \
                    lighter.wasm/allowed-outbound does not name that address";
    assert_eq!(reported.iter().filter(|line| *line == sentence).count(), 1, "{reported:?}");
}

#[tokio::test]
async fn a_special_address_is_reached_where_a_rule_names_it() {
    let rules = "*.example:80, 169.254.169.254:80, 127.0.0.0/8:8000";
    let scene = scene(Some(rules), None).await;
    assert_eq!(scene.finds("mixed.example", 80).await, "169.254.169.254:80 10.0.0.3:80");
    assert!(scene.may("127.0.0.1:8000") && !scene.may("127.0.0.1:80") && !scene.may("169.254.169.254:81"));
    assert!(!scene.reported.lock().unwrap().iter().any(|line| line.contains("169.254.169.254 by the name")));
}

/// A star matches every host of the network, without a name.
#[tokio::test]
async fn a_star_at_a_port_means_no_special_address() {
    let scene = scene(Some("*:80"), None).await;
    assert!(scene.may("10.0.0.1:80") && scene.may("[2001:db8::1]:80") && !scene.may("10.0.0.1:81"));
    assert!(!scene.may("169.254.169.254:80") && !scene.may("127.0.0.1:80") && !scene.may("0.0.0.0:80"));
    scene.egress.lookup("localhost").await.unwrap();
    assert!(!scene.may("127.0.0.1:80"));
}

/// The guest queries it through `Egress::lookup`, which is judged, and not by itself.
#[tokio::test]
async fn a_name_server_is_reached_only_where_a_rule_names_it() {
    for (outbound, lookup) in
        [(Some("*:1-65535"), None), (Some("dns.example"), None), (None, Some("a.example"))]
    {
        let scene = scene(outbound, lookup).await;
        let _ = scene.egress.lookup("dns.example").await;
        let (server, beside) = (format!("10.0.0.53:{}", scene.port), format!("10.0.0.53:{}", scene.port ^ 1));
        assert!(!scene.may(&server) && scene.may(&beside), "{outbound:?} {lookup:?}");
        assert!(!scene.may(&format!("[::ffff:10.0.0.53]:{}", scene.port)));
    }
    let scene = scene(Some("10.0.0.53"), None).await;
    assert!(scene.may(&format!("10.0.0.53:{}", scene.port)));
}

/// What a guest writes into its files has no effect.
#[tokio::test]
async fn where_there_are_rules_the_files_are_as_they_were() {
    let scene = scene(Some("a.example:443,b.example:443"), None).await;
    fs::write(scene.dir.path().join("hosts"), "10.66.0.1 a.example b.example\n").unwrap();
    fs::write(scene.dir.path().join("resolv.conf"), "nameserver 127.0.0.2\n").unwrap();
    assert_eq!(scene.finds("a.example", 443).await, "10.0.0.1:443 [fd00::1]:443");
    assert!(!scene.may("10.66.0.1:443"));
}

/// Both the runtime's rules and the container's must allow a target, by name and by address; the refusal names the
/// one that refuses.
#[tokio::test]
async fn a_floor_is_below_what_the_container_says() {
    let rules = |outbound, lookup| Outbound::parse(outbound, lookup).unwrap();
    let floor = |outbound, lookup| Outbound::floor(outbound, lookup).unwrap();
    let named = "the option AllowedOutbound does not name it";
    let alone = scene_of([rules(None, None), floor(Some("a.example:443"), None)]).await;
    assert_eq!(alone.finds("a.example", 443).await, "10.0.0.1:443 [fd00::1]:443");
    assert_eq!(alone.finds("b.example", 443).await, format!("the guest may not look up b.example: {named}"));
    assert!(alone.may("10.0.0.1:443") && !alone.may("10.0.0.1:80") && !alone.may("10.0.0.2:443"));
    assert!(alone.reported.lock().unwrap().iter().any(|line| line.ends_with(named)));

    let wide = scene_of([rules(Some("*"), Some("*")), floor(Some("10.0.0.2"), Some("b.example"))]).await;
    assert!(wide.may("10.0.0.2:80") && !wide.may("10.0.0.1:80"), "a container widens nothing");
    let refused = "the guest may not look up a.example: the option AllowedLookup does not name it";
    assert_eq!(wide.finds("a.example", 80).await, refused);

    let both = scene_of([
        rules(Some("a.example,b.example:80"), None),
        floor(Some("b.example,shared.example"), None),
    ])
    .await;
    assert_eq!(both.finds("b.example", 80).await, "10.0.0.2:80");
    let refused =
        "the guest may not connect to b.example:443: lighter.wasm/allowed-outbound does not name it";
    assert_eq!(both.finds("b.example", 443).await, refused);
    assert_eq!(both.finds("a.example", 80).await, format!("the guest may not look up a.example: {named}"));
    let refused = "the guest may not look up shared.example: lighter.wasm/allowed-outbound does not name it";
    assert_eq!(both.finds("shared.example", 80).await, refused);
    assert!(!both.may("10.0.0.1:80"));
}

/// And without a server no query is sent, not even to this machine.
#[tokio::test]
async fn a_server_that_is_not_named_is_not_queried() {
    let dir = tempfile::tempdir().unwrap();
    let (port, asked) = serve(Ipv4Addr::LOCALHOST, 0, TABLE).await;
    let (resolv_conf, hosts) = (dir.path().join("resolv.conf"), dir.path().join("hosts"));
    let sources = Sources { resolv_conf, hosts, port, look_again: Duration::ZERO, mounted: false };
    let rules = Outbound::parse(Some("a.example"), None).unwrap();
    let egress = Egress::new([rules], sources, Box::new(|_| ()));
    let error = egress.lookup("a.example").await.unwrap_err().to_string();
    let expected =
        "a.example cannot be looked up just now: no name server is named in a resolv.conf that is mounted";
    assert_eq!(error, expected);
    assert!(asked.lock().unwrap().is_empty());
}
