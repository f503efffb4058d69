//! Name resolution by the container's files and its name server, never by the image's libc.

use anyhow::{Result, ensure};
use e2e::containerd::Containerd;
use e2e::dns::{self, Dns};
use e2e::http::upstream::Upstream;
use e2e::runner::Scenario;

use super::Room;

const LOOKUP: &str = "/guests/lookup-p2.wasm";
const CLIENT: &str = "/guests/socket-client.wasm";

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("sockets-names-localhost", localhost),
        Scenario::ours("sockets-names-hosts", hosts),
        Scenario::ours("sockets-names-search", search),
        Scenario::ours("sockets-names-unknown", unknown),
        Scenario::ours("sockets-names-silent", silent),
        Scenario::ours("sockets-names-client", client),
    ]
}

/// localhost needs no file and cannot be redefined by one; IPv4 comes first.
fn localhost(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let hosts = room.file("hosts-local", "10.9.9.9 localhost\n")?;
    for run in [room.run("asks"), room.run("asks").bind(&hosts, "/etc/hosts", false)] {
        let expected = "localhost: 127.0.0.1 ::1\na.localhost: 127.0.0.1 ::1\n10.0.0.1: 10.0.0.1";
        run.args(&[LOOKUP, "localhost", "a.localhost", "10.0.0.1"]).finish()?.ok()?.prints(expected)?;
    }
    Ok(())
}

/// Names in the hosts file need no query.
fn hosts(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let dns = Dns::start(&room.net, &[("db.test", "127.0.0.2")])?;
    let hosts = room.file("hosts-db", "fd00::9 Db.Test db\n127.0.0.9 db.test # of the pod\n")?;
    // The NSS module that libc would load is not used.
    let switch = room.file("nsswitch", "hosts: evil\n")?;
    let run = room.run("asks").bind(&hosts, "/etc/hosts", false).bind(&switch, "/etc/nsswitch.conf", false);
    run.args(&[LOOKUP, "db.test", "DB"]).finish()?.ok()?.prints("db.test: 127.0.0.9 fd00::9\nDB: fd00::9")?;
    ensure!(dns.asked().is_empty(), "the server was queried for {:?}", dns.asked());
    Ok(())
}

/// Search domains are tried first for names with fewer dots than ndots, last for others, and never for names with a
/// trailing dot.
fn search(daemon: &Containerd) -> Result<()> {
    let table = [
        ("web.ns.svc.test", "127.0.0.5"),
        ("web.ns.svc.test", "fd00::5"),
        ("web.other.svc.test", "127.0.0.6"),
        ("a.b.c.svc.test", "127.0.0.7"),
        ("x.y.z", "127.0.0.8"),
    ];
    let check = |name: &str, found: &str, asked: &[&str]| -> Result<()> {
        let room = Room::new(daemon)?;
        let dns = Dns::start(&room.net, &table)?;
        let conf = room.file("search", &dns::resolv_conf("search ns.svc.test svc.test\noptions ndots:2"))?;
        let run = room.run("asks").bind(&conf, "/etc/resolv.conf", false).args(&[LOOKUP, name]);
        run.finish()?.ok()?.prints(&format!("{name}: {found}"))?;
        ensure!(dns.asked() == asked, "for {name} the server was queried for {:?}", dns.asked());
        Ok(())
    };
    check("web", "127.0.0.5 fd00::5", &["web.ns.svc.test"])?;
    check("web.other", "127.0.0.6", &["web.other.ns.svc.test", "web.other.svc.test"])?;
    check("x.y.z", "127.0.0.8", &["x.y.z"])?;
    check("a.b.c", "127.0.0.7", &["a.b.c", "a.b.c.ns.svc.test", "a.b.c.svc.test"])?;
    check("x.y.z.", "127.0.0.8", &["x.y.z"])
}

/// Two unknown names in a row: each lookup fails; an invalid name is not queried.
fn unknown(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let dns = Dns::start(&room.net, &[])?;
    let conf = room.file("unknown", &dns::resolv_conf("search test"))?;
    let run = room.run("asks").bind(&conf, "/etc/resolv.conf", false).args(&[LOOKUP, "unknown", "a..b"]);
    let output = run.finish()?.ok()?;
    let names: Vec<&str> =
        output.stdout.lines().map(|line| line.split(" error").next().unwrap_or(line)).collect();
    ensure!(names == ["unknown:", "a..b:"], "it printed {:?}", output.stdout);
    ensure!(dns.asked() == ["unknown.test", "unknown"], "the server was queried for {:?}", dns.asked());
    Ok(())
}

/// Without a name server a lookup fails at once.
fn silent(daemon: &Containerd) -> Result<()> {
    let output = Room::new(daemon)?.run("asks").args(&[LOOKUP, "unknown.test"]).finish()?.ok()?;
    ensure!(output.stdout.starts_with("unknown.test: error"), "it printed {:?}", output.stdout);
    Ok(())
}

/// The same for WasmEdge's sockets.
fn client(daemon: &Containerd) -> Result<()> {
    let room = Room::new(daemon)?;
    let dns = Dns::start(&room.net, &[("web.ns.test", "127.0.0.5")])?;
    let conf = room.file("client", &dns::resolv_conf("search ns.test"))?;
    let hosts = room.file("hosts-client", "127.0.0.9 db\n")?;
    for (host, at) in [("web", "127.0.0.5:8080"), ("db", "127.0.0.9:8080")] {
        let server = Upstream::at(&room.net, at, None)?;
        let run =
            room.run("fetches").bind(&conf, "/etc/resolv.conf", false).bind(&hosts, "/etc/hosts", false);
        run.args(&[CLIENT, &format!("http://{host}:8080/")]).finish()?.ok()?.prints("200\nasked for /")?;
        drop(server);
    }
    ensure!(dns.asked() == ["web.ns.test"], "the server was queried for {:?}", dns.asked());
    let run = room.run("fetches").bind(&conf, "/etc/resolv.conf", false);
    run.args(&[CLIENT, "http://unknown:8080/"]).finish()?.exits(1)?.complains("dns error").map(drop)
}
