//! TLS as all links speak it: rustls with ring, whichever other crates are linked.

use std::sync::Arc;
use std::{fs, io};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use serde::Deserialize;

/// Whom to trust and who to be. All are paths of PEM files; empty ones are not there.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct TlsOptions {
    /// Certificates of a private authority, trusted instead of those that this machine trusts.
    pub ca_file: String,
    /// The certificate to show, with those that lead to its authority.
    pub cert_file: String,
    /// The key that belongs to it.
    pub key_file: String,
}

/// Says which cryptography rustls uses, once. It fails only if that was said before.
pub(crate) fn choose_ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client's side of TLS.
///
/// # Errors
/// When a file cannot be read or is none of its kind; says which one.
pub(crate) fn client(options: &TlsOptions) -> Result<Arc<ClientConfig>, String> {
    choose_ring();
    let builder = ClientConfig::builder();
    let trusting = if options.ca_file.is_empty() {
        builder.with_platform_verifier().map_err(|error| error.to_string())?
    } else {
        builder.with_root_certificates(authorities(&options.ca_file)?)
    };
    let config = match (options.cert_file.as_str(), options.key_file.as_str()) {
        ("", "") => trusting.with_no_client_auth(),
        ("", _) | (_, "") => return Err("tls: cert_file and key_file go together".to_owned()),
        (certificate, key) => {
            let named = |error: rustls::Error| format!("{certificate}: {error}");
            let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| format!("{key}: {error}"))?;
            trusting
                .with_client_auth_cert(certificates(certificate)?, private)
                .map_err(named)?
        }
    };
    Ok(Arc::new(config))
}

/// Why a connection could not be made, and what an operator may have to do with it.
pub(crate) fn said(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            format!("TLS: {error}: no authority of `tls.ca_file`, or else of this machine, has signed it")
        }
        _ => format!("TLS: {error}"),
    }
}

fn authorities(file: &str) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(file)? {
        store.add(certificate).map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(store)
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| format!("{file}: {error}"))?;
    if found.is_empty() {
        return Err(format!("{file}: holds no certificate in PEM"));
    }
    Ok(found)
}

fn read(file: &str) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("{file}: {error}"))
}
