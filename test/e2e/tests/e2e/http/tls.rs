//! HTTPS: ALPN, the guest's view, renewal of the certificate, and errors.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::containerd::Containerd;
use e2e::ctr::Run;
use e2e::http::Served;
use e2e::http::certificates::{Authority, Pair};
use e2e::http::client::{Text, get, h1, h2, io, wait, whole};
use e2e::process::LIMIT;
use e2e::runner::Scenario;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::addresses::refused;
use super::{ALL, HELLO};
use crate::data::shared_dir;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::ours("http-tls", served),
        Scenario::ours("http-tls-scheme", scheme),
        Scenario::ours("http-tls-renewed", renewed),
        Scenario::ours("http-tls-plain-client", plain_client),
        Scenario::ours("http-tls-wrong", wrong),
    ]
}

/// A container with the certificate and the key in `dir`.
fn secure<'a>(daemon: &'a Containerd, dir: &Path, args: &[&str]) -> Run<'a> {
    let run = daemon.run("web").bind(dir, "/tls", false).args(args);
    run.annotation("lighter.wasm/http.tls-certificate", "/tls/tls.crt")
        .annotation("lighter.wasm/http.tls-key", "/tls/tls.key")
}

fn put(dir: &Path, pair: &Pair) -> Result<()> {
    fs::write(dir.join("tls.key"), &pair.key)?;
    Ok(fs::write(dir.join("tls.crt"), &pair.certificate)?)
}

async fn shake(web: &Served<'_>, client: Arc<ClientConfig>) -> Result<TlsStream<tokio::net::TcpStream>> {
    let stream = io(web.connect()?)?;
    Ok(TlsConnector::from(client).connect(ServerName::try_from("localhost")?, stream).await?)
}

/// ALPN selects the version; without ALPN it is HTTP/1.1.
fn served(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "http-tls")?;
    let authority = Authority::new()?;
    put(&dir, &authority.vouch("localhost")?)?;
    let web = secure(daemon, &dir, ALL).serve()?;
    for (offers, agreed) in
        [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)]
    {
        wait(async {
            let stream = shake(&web, authority.client(offers)?).await?;
            let chosen = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
            ensure!(chosen.as_deref() == agreed.map(str::as_bytes), "{chosen:?} of {offers:?}");
            let response = match agreed {
                Some("h2") => h2::<Text>(stream).await?.send_request(get("/headers")?).await?,
                _ => h1::<Text>(stream).await?.send_request(get("/headers")?).await?,
            };
            let (status, text, _) = whole(response).await?;
            ensure!(status == 200 && text.contains("authority: test\n"), "{status} {text:?}");
            Ok(())
        })?;
    }
    web.end()
}

/// The guest sees the scheme `https`.
fn scheme(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "http-tls-scheme")?;
    let authority = Authority::new()?;
    put(&dir, &authority.vouch("localhost")?)?;
    let web = secure(daemon, &dir, ALL).serve()?;
    wait(async {
        let stream = shake(&web, authority.client(&[])?).await?;
        let response = h1::<Text>(stream).await?.send_request(get("/headers")?).await?;
        let (_, text, _) = whole(response).await?;
        ensure!(text.contains("scheme: https\n"), "{text:?}");
        Ok(())
    })?;
    web.end()
}

/// New connections soon get the new certificate; existing ones stay usable. A key that does not match changes
/// nothing and is logged.
fn renewed(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "http-tls-renewed")?;
    let authority = Authority::new()?;
    let (old, new) = (authority.vouch("localhost")?, authority.vouch("localhost")?);
    put(&dir, &old)?;
    let web = secure(daemon, &dir, HELLO).serve()?;
    let client = authority.client(&[])?;
    wait(async {
        let stream = shake(&web, client.clone()).await?;
        let first = shown(&stream)?;
        let mut kept = h1::<Text>(stream).await?;
        put(&dir, &new)?;
        let second = loop {
            let now = shown(&shake(&web, client.clone()).await?)?;
            if now != first {
                break now;
            }
            sleep(Duration::from_millis(20)).await;
        };
        fs::write(dir.join("tls.key"), &old.key)?;
        // The files are checked at most once a second, when a client connects.
        while !web.log().contains("the certificate stays as it was") {
            ensure!(shown(&shake(&web, client.clone()).await?)? == second, "a key of another certificate");
            sleep(Duration::from_millis(20)).await;
        }
        let (status, text, _) = whole(kept.send_request(get("/")?).await?).await?;
        ensure!(status == 200, "the old connection: {status} {text:?}");
        Ok(())
    })
    .with_context(|| format!("within {LIMIT:?}; the log says {:?}", web.log()))?;
    web.end()
}

/// The server's certificate.
fn shown(stream: &TlsStream<tokio::net::TcpStream>) -> Result<Vec<u8>> {
    let chain = stream.get_ref().1.peer_certificates().context("no certificate")?;
    Ok(chain.first().context("an empty chain")?.to_vec())
}

/// A client without TLS gets no answer in plain text.
fn plain_client(daemon: &Containerd) -> Result<()> {
    let dir = shared_dir(daemon, "http-tls-plain")?;
    let authority = Authority::new()?;
    put(&dir, &authority.vouch("localhost")?)?;
    let web = secure(daemon, &dir, HELLO).serve()?;
    let response = web.ask("/")?.rest()?;
    ensure!(!String::from_utf8_lossy(&response).contains("HTTP"), "the response is {response:?}");
    wait(async { shake(&web, authority.client(&[])?).await.map(drop) })?;
    web.end()
}

/// The error of Create names the file that cannot be used.
fn wrong(daemon: &Containerd) -> Result<()> {
    let authority = Authority::new()?;
    let (one, other) = (authority.vouch("localhost")?, authority.vouch("localhost")?);
    let dir = shared_dir(daemon, "http-tls-wrong")?;
    let fails = |certificate: Option<&str>, key: Option<&str>, words: &str| -> Result<()> {
        for (name, text) in [("tls.crt", certificate), ("tls.key", key)] {
            let file = dir.join(name);
            match text {
                Some(text) => fs::write(file, text)?,
                None if file.exists() => fs::remove_file(file)?,
                None => {}
            }
        }
        refused(&secure(daemon, &dir, HELLO).finish()?, &[words])
    };
    fails(None, Some(&one.key), "cannot read the certificate /tls/tls.crt")?;
    fails(Some(&one.certificate), None, "cannot read the private key /tls/tls.key")?;
    fails(Some("none"), Some(&one.key), "/tls/tls.crt holds no certificate")?;
    fails(Some(&one.certificate), Some("none"), "cannot read the private key /tls/tls.key")?;
    fails(
        Some(&one.certificate),
        Some(&other.key),
        "the private key /tls/tls.key is not that of /tls/tls.crt",
    )?;
    let run = daemon.run("web").annotation("lighter.wasm/http.tls-key", "/tls/tls.key").args(HELLO);
    refused(&run.finish()?, &["accompanied by lighter.wasm/http.tls-certificate"])
}
