//! Runs the commands of `README.md` and the guide, word by word. `test/tidy` lists where the pages' other commands
//! are run.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::cri::{self, Cri};
use e2e::guests::Guest;
use e2e::http::client::ask;
use e2e::process::{LIMIT, Running, poll, run};
use e2e::runner::Scenario;
use e2e::{docker, image};
use hyper::Request;

const PAGES: [&str; 2] =
    [include_str!("../../../../README.md"), include_str!("../../../../crates/docs/guide.md")];
/// An image with an entrypoint, so that no arguments are needed.
const SERVER: &str = "localhost/examples/http-all:1";

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("docs-ctr", by_ctr),
        cri::ours("cri-docs-server", server),
        docker::ours("docker-docs", by_docker),
    ]
}

/// The arguments of each command that begins with `program`.
fn shown(program: &str) -> Result<Vec<Vec<&'static str>>> {
    let lines = PAGES.into_iter().flat_map(str::lines);
    let lines = lines.map(|line| line.strip_prefix("sudo ").unwrap_or(line));
    let commands: Vec<Vec<_>> = lines
        .filter_map(|line| line.strip_prefix(program)?.strip_prefix(' '))
        .map(|words| words.split(' ').collect())
        .collect();
    ensure!(!commands.is_empty(), "no page shows {program}");
    Ok(commands)
}

/// A command's words with the tests' image, container and runtime filled in.
fn filled<'a>(words: &[&'a str], daemon: &'a Containerd, image: &'a str, id: &'a str) -> Vec<&'a str> {
    let fill = |word: &&'a str| match *word {
        "IMAGE" => image,
        "ID" => id,
        word if word.starts_with("io.containerd.") => daemon.shim.runtime.as_str(),
        word => word,
    };
    words.iter().map(fill).collect()
}

fn serves(words: &[&str]) -> bool {
    words.contains(&"--net-host")
}

fn by_ctr(daemon: &Containerd) -> Result<()> {
    let image = image::name(None);
    for words in shown("ctr")?.iter().filter(|words| !serves(words)) {
        let words = [&filled(words, daemon, &image, "docs")[..], Guest::Wasm.hello()].concat();
        run(&mut daemon.ctr(words))?.ok()?.prints("hello")?;
    }
    Ok(())
}

fn by_docker(daemon: &Containerd) -> Result<()> {
    let image = image::name(None);
    for words in shown("docker")? {
        let words = [&filled(&words, daemon, &image, "docs")[..], Guest::Wasm.hello()].concat();
        run(&mut daemon.docker(words)?)?.ok()?.prints("hello")?;
    }
    Ok(())
}

/// A server on the node's network, which here is a namespace of containerd's own: the port is free.
fn server(cri: &Cri<'_>) -> Result<()> {
    let net = cri.daemon.net.as_ref().context("a containerd without a network of its own")?;
    let id = format!("{}-docs", cri.daemon.scope.tag);
    let commands = shown("ctr")?;
    let words = commands.iter().find(|words| serves(words)).context("no page shows a server")?;
    let mut server = Running::start(&mut cri.daemon.ctr(filled(words, cri.daemon, SERVER, &id)))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    let answer = poll("an answer", LIMIT, || {
        ensure!(!server.ended()?, "it ended");
        Ok(ask(net, address, Request::get("/").body(String::new())?).ok())
    });
    cri.daemon.kill(&id, "SIGTERM", false)?;
    server.finish(LIMIT)?.ok()?;
    ensure!(answer?.body() == "hello\n", "the answer differs");
    Ok(())
}
