//! What the README tells its readers to type, word by word.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use e2e::cri::{self, Cri};
use e2e::http::client::ask;
use e2e::process::{LIMIT, Running, poll};
use e2e::runner::Scenario;
use hyper::Request;

const README: &str = include_str!("../../../../../README.md");
/// An image with an entrypoint, so that nothing is said behind the name.
const IMAGE: &str = "localhost/examples/http-all:1";

pub fn scenarios() -> Vec<Scenario> {
    vec![cri::ours("cri-readme-net-host", net_host)]
}

/// A server on the node's network, which here is containerd's own: nobody else has the port.
fn net_host(cri: &Cri<'_>) -> Result<()> {
    let net = cri.daemon.net.as_ref().context("a containerd without a network of its own")?;
    let id = format!("{}-readme", cri.daemon.scope.tag);
    let line = README.lines().find(|line| line.starts_with("ctr run") && line.contains("--net-host"));
    let words = line.context("the README shows no server")?.split(' ').skip(1);
    let words = words.map(|word| match word {
        "IMAGE" => IMAGE,
        "ID" => id.as_str(),
        word => word,
    });
    let mut server = Running::start(&mut cri.daemon.ctr(words))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    let answer = poll("an answer", LIMIT, || {
        ensure!(!server.ended()?, "it ended");
        Ok(ask(net, address, Request::get("/").body(String::new())?).ok())
    });
    cri.daemon.kill(&id, "SIGTERM", false)?;
    server.finish(LIMIT)?.ok()?;
    ensure!(answer?.body() == "hello\n", "it answers something else");
    Ok(())
}
