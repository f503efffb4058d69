//! Whom a guest's requests trust: the web's authorities, or those of a file of the container's.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// How to speak TLS with servers that `authorities`, a file in PEM, vouch for; without a file the web's.
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

/// As other programs do, what is not a certificate that can be used is passed over as long as one is.
fn read(file: &Path) -> anyhow::Result<RootCertStore> {
    let certificates = CertificateDer::pem_file_iter(file)
        .with_context(|| format!("cannot read SSL_CERT_FILE {}", file.display()))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    ensure!(!roots.is_empty(), "SSL_CERT_FILE {} holds no certificate", file.display());
    Ok(roots)
}
