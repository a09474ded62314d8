//! A certificate and its key, from PEM files to what accepts connections.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read, or is no PEM.
    #[error("{setting} {}: {reason}", path.display())]
    File {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Two files that do not belong together, or of a kind that TLS here does not use.
    #[error(
        "the certificate {} and the key {} are not of use together: {reason}. The certificate's file begins with the \
         server's own, those that signed it follow; the key is an unencrypted RSA, ECDSA or Ed25519 key of that first \
         one", certificate.display(), key.display()
    )]
    Unfit {
        /// The file of `tls_certificate`.
        certificate: PathBuf,
        /// The file of `tls_key`.
        key: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Reads a chain of certificates, the server's own first, and its key.
pub(super) fn load(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let wrong = |setting: &'static str, path: &Path, error: &pem::Error| {
        let reason = match error {
            pem::Error::Io(error) => error.to_string(),
            pem::Error::NoItemsFound if setting == "tls_key" => {
                "there is no unencrypted private key in it (-----BEGIN PRIVATE KEY-----)".to_owned()
            }
            pem::Error::NoItemsFound => {
                "there is no certificate in it (-----BEGIN CERTIFICATE-----)".to_owned()
            }
            error => format!("it is no PEM file: {error:?}"),
        };
        TlsError::File { setting, path: path.to_path_buf(), reason }
    };
    let read = |error: pem::Error| wrong("tls_certificate", certificate, &error);
    let chain = CertificateDer::pem_file_iter(certificate).map_err(read)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(read)?;
    if chain.is_empty() {
        return Err(read(pem::Error::NoItemsFound));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong("tls_key", key, &error))?;
    let unfit = |error: tokio_rustls::rustls::Error| TlsError::Unfit {
        certificate: certificate.to_path_buf(),
        key: key.to_path_buf(),
        reason: error.to_string(),
    };
    // The provider is named, since another user of rustls in the process may have chosen another.
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unfit)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(unfit)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
