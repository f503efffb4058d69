//! The server's certificate, reloaded when its files change: a mounted secret is renewed while the server runs.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::respond::log;

/// TLS for a server's connections.
pub struct Tls(TlsAcceptor);

impl Tls {
    /// Reads the certificate and its key.
    ///
    /// # Errors
    /// Names the file that cannot be read or used.
    pub fn read(files: &workload::Tls) -> anyhow::Result<Self> {
        let reloading = Arc::new(ReloadingCert::read(files.clone())?);
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(reloading);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Runs the TLS handshake with a client.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }
}

/// The certificate and key as last read.
struct ReloadingCert {
    files: workload::Tls,
    loaded: Mutex<LoadedCert>,
}

struct LoadedCert {
    key: Arc<CertifiedKey>,
    stamp: Stamp,
    checked: Instant,
}

/// Device, inode and mtime of both files: changes when either does.
type Stamp = [Option<(u64, u64, i64, i64)>; 2];

impl ReloadingCert {
    fn read(files: workload::Tls) -> anyhow::Result<Self> {
        // Taken before reading: a change in between is found by the next check.
        let stamp = stamp(&files);
        let loaded = LoadedCert { key: Arc::new(read(&files)?), stamp, checked: Instant::now() };
        Ok(Self { files, loaded: Mutex::new(loaded) })
    }
}

impl ResolvesServerCert for ReloadingCert {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        const BETWEEN_CHECKS: Duration = Duration::from_secs(1);
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.checked.elapsed() >= BETWEEN_CHECKS {
            loaded.checked = Instant::now();
            let stamp = stamp(&self.files);
            if stamp != loaded.stamp {
                loaded.stamp = stamp;
                match read(&self.files) {
                    Ok(key) => loaded.key = Arc::new(key),
                    Err(error) => log(&format!("the certificate stays as it was: {error:#}")),
                }
            }
        }
        Some(Arc::clone(&loaded.key))
    }
}

impl fmt::Debug for ReloadingCert {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the key.
        out.debug_struct("ReloadingCert").field("files", &self.files).finish_non_exhaustive()
    }
}

fn stamp(files: &workload::Tls) -> Stamp {
    let of = |path: &Path| {
        let file = fs::metadata(path).ok()?;
        Some((file.dev(), file.ino(), file.mtime(), file.mtime_nsec()))
    };
    [of(&files.certificate), of(&files.key)]
}

fn read(workload::Tls { certificate, key }: &workload::Tls) -> anyhow::Result<CertifiedKey> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read the certificate {}", certificate.display()))?;
    ensure!(!chain.is_empty(), "{} holds no certificate", certificate.display());
    let unreadable = || format!("cannot read the private key {}", key.display());
    let private = PrivateKeyDer::from_pem_file(key).with_context(unreadable)?;
    let private = ring::sign::any_supported_type(&private).with_context(unreadable)?;
    let pair = CertifiedKey::new(chain, private);
    pair.keys_match().with_context(|| {
        format!("the private key {} is not that of {}", key.display(), certificate.display())
    })?;
    Ok(pair)
}
