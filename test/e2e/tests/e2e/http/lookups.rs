//! Name resolution: by the container's own files and name server, whatever its image contains.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::ctr::Run;
use e2e::dns::Dns;
use e2e::examples::Example;
use e2e::http::upstream::Upstream;
use e2e::image;
use e2e::process::run;
use e2e::rootfs::{directory, file};
use e2e::runner::Scenario;
use serde_json::json;

use super::all;
use super::outgoing::fetches;
use crate::data::shared_dir;

/// An image with a hostile NSS library.
const EVIL: &str = "localhost/e2e:evil";
/// The records of the tests' name server.
const NAMES: &[(&str, &str)] = &[("upstream.test", "127.0.0.1"), ("short.cluster.test", "127.0.0.3")];

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("http-names-hosts", hosts),
        Scenario::ours("http-names-dns", dns),
        Scenario::ours("http-names-truncated", truncated),
        Scenario::measured("http-names-hostile-image", hostile),
    ]
}

/// Mounts a file with this text at `path`.
pub fn with_file<'a>(run: Run<'a>, dir: &Path, path: &str, text: &str) -> Result<Run<'a>> {
    let file = dir.join(path.trim_start_matches('/').replace('/', "-"));
    fs::write(&file, text)?;
    Ok(run.bind(&file, path, false))
}

/// The container's own `/etc/hosts` is used.
fn hosts(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "http-names-hosts")?;
    let hosts = "127.0.0.1 localhost\n127.0.0.5 known.test alias # not.this\n";
    let web = with_file(all(daemon), &dir, "/etc/hosts", hosts)?.serve()?;
    for (name, addresses) in [
        ("known.test", "127.0.0.5"),
        ("alias", "127.0.0.5"),
        ("127.0.0.9", "127.0.0.9"),
        ("KNOWN.test", "127.0.0.5"),
    ] {
        web.get(&format!("/lookup?{name}"))?.is(200, addresses).context(name)?;
    }
    web.get("/lookup?localhost")?.status(200)?.says("127.0.0.1\n")?;
    let upstream = Upstream::serve(&web.net, None)?;
    fetches(&web, &format!("http://localhost:{}/", upstream.port), "200\nasked for /")?;
    web.end()
}

/// The name server and the search list of `resolv.conf` are used, and an NXDOMAIN is final.
fn dns(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "http-names-dns")?;
    let conf = "nameserver 127.0.0.1\nsearch cluster.test\noptions ndots:1\n";
    let web = with_file(all(daemon), &dir, "/etc/resolv.conf", conf)?.serve()?;
    let dns = Dns::start(&web.net, NAMES)?;
    let upstream = Upstream::serve(&web.net, None)?;
    fetches(&web, &format!("http://upstream.test:{}/", upstream.port), "200\nasked for /")?;
    web.get("/lookup?upstream.test")?.is(200, "127.0.0.1")?;
    web.get("/lookup?short")?.is(200, "127.0.0.3")?;
    web.get("/lookup?unknown.test")?.is(200, "error: name-unresolvable")?;
    web.get("/get?http://unknown.test/")?
        .status(200)?
        .says("error: ErrorCode::DnsError")?
        .says("NXDOMAIN")?;
    let asked = dns.asked();
    ensure!(asked.iter().any(|name| name == "short.cluster.test"), "{asked:?}");
    ensure!(!asked.iter().any(|name| name == "localhost"), "{asked:?}");
    web.end()
}

/// A truncated answer is queried again by TCP, and is complete.
fn truncated(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "http-names-truncated")?;
    let web = with_file(all(daemon), &dir, "/etc/resolv.conf", "nameserver 127.0.0.1\n")?.serve()?;
    let many: Vec<String> = (1..=100).map(|last| format!("127.0.1.{last}")).collect();
    let table: Vec<(&str, &str)> = many.iter().map(|address| ("many.test", address.as_str())).collect();
    let dns = Dns::start(&web.net, &table)?;
    let answer = web.get("/lookup?many.test")?.status(200)?.text();
    let mut found: Vec<&str> = answer.lines().collect();
    found.sort_by_key(|address| many.iter().position(|known| known == address));
    ensure!(found == many, "found {} of {}: {found:?}", found.len(), many.len());
    ensure!(
        dns.asked_by_tcp() == ["many.test"],
        "by TCP the server was queried for {:?}",
        dns.asked_by_tcp()
    );
    web.end()
}

/// An image of the guest with this library wherever libc would look for it.
fn evil(library: &[u8]) -> Result<Example> {
    let wasm = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/http-all/http-all.wasm");
    let mut nodes = vec![file("app.wasm", 0o644, fs::read(wasm)?), directory("etc", 0o755)];
    nodes.push(file("etc/nsswitch.conf", 0o644, "hosts: evil\n"));
    nodes.push(directory("usr", 0o755));
    for place in ["lib", "lib64", "lib/x86_64-linux-gnu", "usr/lib", "usr/lib/x86_64-linux-gnu"] {
        nodes.extend([directory(place, 0o755), file(&format!("{place}/libnss_evil.so.2"), 0o755, library)]);
    }
    Ok(Example { name: EVIL.into(), config: json!({}), nodes })
}

/// No code of an image runs that configures its own NSS library for look-ups. Without a C compiler the
/// library is a text file, and the scenario's line says so.
fn hostile(daemon: &Containerd) -> Result<String> {
    const SOURCE: &str = "#include <stdio.h>\n__attribute__((constructor)) static void evil(void) \
                          { FILE *f = fopen(TRACE, \"w\"); if (f) fclose(f); }\n";
    let dir = shared_dir(daemon, "http-hostile")?;
    let (library, trace) = (dir.join("evil.so"), dir.join("trace"));
    fs::write(dir.join("evil.c"), SOURCE)?;
    let build = |trace: &str| {
        let define = format!("-DTRACE=\"{trace}\"");
        let mut command = Command::new("cc");
        run(command.args(["-shared", "-fPIC", &define, "-o"]).arg(&library).arg(dir.join("evil.c")))
    };
    let armed = match build(&trace.display().to_string()) {
        Err(_) => false,
        Ok(built) => {
            built.ok()?;
            run(Command::new("/bin/true").env("LD_PRELOAD", &library))?.ok()?;
            ensure!(trace.exists(), "the library has no effect even when it is loaded");
            fs::remove_file(&trace)?;
            build("/outbox/trace")?.ok()?;
            true
        }
    };
    if !armed {
        fs::write(&library, "no library")?;
    }
    image::write_examples(&[evil(&fs::read(&library)?)?], &dir.join("image.tar"))?;
    daemon.import(&dir.join("image.tar"))?;
    let web = daemon.run("web").image(EVIL).args(&["/app.wasm"]).bind(&dir, "/outbox", true).serve()?;
    web.get("/lookup?unknown.test")?.status(200)?.says("error: ")?;
    web.get("/get?http://unknown.test/")?.status(200)?.says("error: ")?;
    web.get("/connect?unknown.test:80")?.status(200)?.says("error: ")?;
    ensure!(!trace.exists(), "the image's library ran");
    web.end()?;
    Ok(if armed { String::new() } else { "no C compiler: the library is a text file".into() })
}
