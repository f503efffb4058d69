//! The TLS roots of a guest's requests: the web's authorities, or those of a file in the container.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// A TLS configuration that trusts `authorities`, a PEM file; without one, the web's authorities.
///
/// # Errors
/// Names the file that cannot be read or holds no certificate.
pub fn client(authorities: Option<&Path>) -> anyhow::Result<ClientConfig> {
    let roots = match authorities {
        Some(file) => read(file)?,
        None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Ok(builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth())
}

/// Skips entries that are no usable certificate, as other programs do, if at least one is usable.
fn read(file: &Path) -> anyhow::Result<RootCertStore> {
    let certificates = CertificateDer::pem_file_iter(file)
        .with_context(|| format!("cannot read SSL_CERT_FILE {}", file.display()))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    ensure!(!roots.is_empty(), "SSL_CERT_FILE {} holds no certificate", file.display());
    Ok(roots)
}
