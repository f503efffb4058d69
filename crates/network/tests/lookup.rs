//! Look-ups at a name server of our own.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod server;

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use network::{Lookup, LookupError, Sources};
use proptest::prelude::*;
use server::{Asked, Table, serve};
use tempfile::TempDir;

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn sources(dir: &Path, port: u16) -> Sources {
    let (resolv_conf, hosts) = (dir.join("resolv.conf"), dir.join("hosts"));
    Sources { resolv_conf, hosts, port, look_again: Duration::ZERO, mounted: false }
}

/// A look-up that queries a server with `table`, and the queries that this server received.
async fn asking(table: Table, resolv_conf: &str, hosts: &str) -> (TempDir, Lookup, Asked) {
    let dir = tempfile::tempdir().unwrap();
    let (port, asked) = serve(LOCAL, 0, table).await;
    fs::write(dir.path().join("resolv.conf"), format!("nameserver 127.0.0.1\n{resolv_conf}\n")).unwrap();
    fs::write(dir.path().join("hosts"), hosts).unwrap();
    let lookup = Lookup::new(sources(dir.path(), port));
    (dir, lookup, asked)
}

/// The addresses of `name`, or why there are none.
async fn resolved(lookup: &Lookup, name: &str) -> String {
    match lookup.addresses(name).await {
        Ok(found) => found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        Err(error) => error.to_string(),
    }
}

fn taken(asked: &Asked) -> Vec<String> {
    let mut asked = std::mem::take(&mut *asked.lock().unwrap());
    // A and AAAA are queried at the same time.
    asked.retain(|query| !query.contains("AAAA"));
    asked
}

#[tokio::test]
async fn both_kinds_of_addresses_are_found() {
    let table: Table = &[
        ("both.example", "fd00::1 10.0.0.2 10.0.0.1"),
        ("four.example", "10.0.0.4"),
        ("six.example", "fd00::6"),
        ("alias.example", "CNAME both.example"),
        ("far.example", "CNAME alone.example"),
        ("alone.example", "10.0.0.7"),
        ("none.example", "CNAME-less"),
        ("long.example", "tcp 10.0.0.9 fd00::9"),
    ];
    let (_dir, lookup, asked) = asking(table, "", "").await;
    assert_eq!(resolved(&lookup, "both.example").await, "10.0.0.2 10.0.0.1 fd00::1");
    assert_eq!(resolved(&lookup, "Four.Example.").await, "10.0.0.4");
    assert_eq!(resolved(&lookup, "six.example").await, "fd00::6");
    assert_eq!(resolved(&lookup, "alias.example").await, "10.0.0.2 10.0.0.1 fd00::1");
    assert_eq!(resolved(&lookup, "far.example").await, "10.0.0.7");
    assert_eq!(resolved(&lookup, "none.example").await, "there is no host called none.example");
    assert_eq!(resolved(&lookup, "absent.example").await, "there is no host called absent.example");
    taken(&asked);
    assert_eq!(resolved(&lookup, "long.example").await, "10.0.0.9 fd00::9");
    assert_eq!(taken(&asked), ["long.example A", "long.example A tcp"]);
    assert_eq!(resolved(&lookup, "both.example").await, "10.0.0.2 10.0.0.1 fd00::1");
    assert!(taken(&asked).is_empty(), "answers are cached for a while");
}

#[tokio::test]
async fn what_needs_no_server_asks_none() {
    let hosts = "127.0.0.1 localhost\n10.1.0.1 pod.example pod\nfd00::1 pod\nfe80::1%eth0 pod\n";
    let (_dir, lookup, asked) = asking(&[("pod", "10.9.9.9")], "search a.example", hosts).await;
    assert_eq!(resolved(&lookup, "localhost").await, "127.0.0.1 ::1");
    assert_eq!(resolved(&lookup, "api.LOCALHOST.").await, "127.0.0.1 ::1");
    assert_eq!(resolved(&lookup, "10.0.0.1").await, "10.0.0.1");
    assert_eq!(resolved(&lookup, "fd00::1").await, "fd00::1");
    assert_eq!(resolved(&lookup, "POD").await, "10.1.0.1 fd00::1");
    assert_eq!(resolved(&lookup, "pod.example").await, "10.1.0.1");
    assert_eq!(resolved(&lookup, "a b").await, "\"a b\" is not the name of a host");
    assert_eq!(resolved(&lookup, "fe80::1%eth0").await, "\"fe80::1%eth0\" is not the name of a host");
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn domains_are_searched_in_order() {
    let table: Table = &[
        ("svc.b.example", "10.0.0.1"),
        ("x.y", "10.0.0.2"),
        ("x.y.a.example", "10.0.0.3"),
        ("odd.a.example", "SERVFAIL"),
        ("odd.b.example", "10.0.0.4"),
    ];
    let conf = "search a.example b.example";
    let (_dir, lookup, asked) = asking(table, conf, "").await;
    assert_eq!(resolved(&lookup, "svc").await, "10.0.0.1");
    assert_eq!(taken(&asked), ["svc.a.example A", "svc.b.example A"]);
    assert_eq!(resolved(&lookup, "x.y").await, "10.0.0.2");
    assert_eq!(taken(&asked), ["x.y A"]);
    assert_eq!(resolved(&lookup, "svc.").await, "there is no host called svc");
    assert_eq!(taken(&asked), ["svc A"]);
    assert_eq!(resolved(&lookup, "odd").await, "10.0.0.4");
    let (_dir, lookup, asked) = asking(table, "search a.example\noptions ndots:5", "").await;
    assert_eq!(resolved(&lookup, "x.y").await, "10.0.0.3");
    assert_eq!(taken(&asked), ["x.y.a.example A"]);
}

#[tokio::test]
async fn a_server_that_fails_is_not_a_name_that_is_missing() {
    let table: Table = &[("broken.example", "SERVFAIL"), ("closed.example", "REFUSED")];
    let (_dir, lookup, asked) = asking(table, "", "").await;
    for name in ["broken.example", "closed.example"] {
        let failed = lookup.addresses(name).await.unwrap_err();
        assert!(matches!(&failed, LookupError::Temporary { .. }), "{failed}");
        assert!(
            failed.to_string().contains(" cannot be looked up just now: the name server says: "),
            "{failed}"
        );
    }
    assert_eq!(taken(&asked), ["broken.example A", "closed.example A"]);
}

#[tokio::test(start_paused = true)]
async fn silence_is_waited_for_as_long_as_the_file_says() {
    let table: Table = &[("s.example", "silent"), ("s", "10.0.0.1")];
    let (_dir, lookup, asked) = asking(table, "search example\noptions timeout:3 attempts:2", "").await;
    let began = tokio::time::Instant::now();
    let failed = lookup.addresses("s").await.unwrap_err();
    assert_eq!(failed.to_string(), "s cannot be looked up just now: no answer from 127.0.0.1");
    let waited = began.elapsed().as_secs_f32();
    assert!((5.9..6.2).contains(&waited), "{waited}");
    assert!(!taken(&asked).iter().any(|query| query == "s A"), "a silent server is not asked more");
}

#[tokio::test]
async fn without_a_file_the_machine_itself_is_asked_and_its_absence_is_detected_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let port = tokio::net::UdpSocket::bind((LOCAL, 0)).await.unwrap().local_addr().unwrap().port();
    let lookup = Lookup::new(sources(dir.path(), port));
    let found = tokio::time::timeout(Duration::from_secs(2), lookup.addresses("a.example")).await.unwrap();
    assert_eq!(
        found.unwrap_err().to_string(),
        "a.example cannot be looked up just now: no answer from 127.0.0.1"
    );
    let (_port, _asked) = serve(LOCAL, port, &[("a.example", "10.0.0.1")]).await;
    assert_eq!(resolved(&lookup, "a.example").await, "10.0.0.1");
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_cannot_answer() {
    let (port, first) = serve(LOCAL, 0, &[("a.example", "SERVFAIL")]).await;
    let (_, second) =
        serve(Ipv4Addr::new(127, 0, 0, 2), port, &[("a.example", "10.0.0.1"), ("b.example", "10.0.0.2")])
            .await;
    let dir = tempfile::tempdir().unwrap();
    let lookup = Lookup::new(sources(dir.path(), port));
    let conf = dir.path().join("resolv.conf");
    // No server listens at 127.0.0.3.
    fs::write(&conf, "nameserver 127.0.0.3\nnameserver 127.0.0.1\nnameserver 127.0.0.2").unwrap();
    assert_eq!(resolved(&lookup, "a.example").await, "10.0.0.1");
    assert_eq!(resolved(&lookup, "b.example").await, "there is no host called b.example");
    assert_eq!(taken(&first), ["a.example A", "b.example A"]);
    assert_eq!(taken(&second), ["a.example A"]);
    fs::write(&conf, "nameserver 127.0.0.2").unwrap();
    assert_eq!(resolved(&lookup, "b.example").await, "10.0.0.2", "the file is read again");
    fs::write(&conf, "nameserver 127.0.0.2\noptions use-vc no-aaaa").unwrap();
    second.lock().unwrap().clear();
    assert_eq!(resolved(&lookup, "b.example").await, "10.0.0.2");
    assert_eq!(*second.lock().unwrap(), ["b.example A tcp"]);
}

#[tokio::test]
async fn hosts_are_read_again_when_they_changed() {
    let (dir, lookup, _) = asking(&[("a", "10.0.0.1")], "", "").await;
    assert_eq!(resolved(&lookup, "a").await, "10.0.0.1");
    fs::write(dir.path().join("hosts"), "10.2.0.1 a\n").unwrap();
    assert_eq!(resolved(&lookup, "a").await, "10.2.0.1");
    fs::remove_file(dir.path().join("hosts")).unwrap();
    assert_eq!(resolved(&lookup, "a").await, "10.0.0.1");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_file_is_too_odd(
        conf in prop::collection::vec(any::<u8>(), 0..200),
        hosts in prop::collection::vec(any::<u8>(), 0..200),
        name in ".{0,20}",
    ) {
        let dir = tempfile::tempdir().unwrap();
        let conf = [b"nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", &*conf].concat();
        fs::write(dir.path().join("resolv.conf"), conf).unwrap();
        fs::write(dir.path().join("hosts"), hosts).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        // No server listens at port 1.
        let lookup = Lookup::new(sources(dir.path(), 1));
        runtime.block_on(async { lookup.addresses(&name).await.map(drop).unwrap_or_default() });
    }
}
