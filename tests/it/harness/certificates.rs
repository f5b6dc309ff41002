//! Certificates as a private authority issues them, made anew for each test.

use std::fs;
use std::path::PathBuf;

use jackfield_links::broker::TlsOptions;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::folder::Folder;

/// PEM files of an authority, of a server at 127.0.0.1, and of a client.
pub(crate) struct Certificates {
    folder: Folder,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let certificates = Self { folder: Folder::new() };
        // Each is another one, also by name.
        let mut params = named(&format!("authority {}", certificates.file("")));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, key()).expect("the parameters are right");
        certificates.write("ca.pem", &authority.pem());
        for who in ["server", "client"] {
            let params = named(who);
            let key = key();
            let issued = params.signed_by(&key, &authority).expect("the authority may");
            certificates.write(&format!("{who}.pem"), &issued.pem());
            certificates.write(&format!("{who}.key"), &key.serialize_pem());
        }
        certificates
    }

    /// Where a file is: `ca.pem`, `server.pem`, `server.key`, `client.pem` or `client.key`.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path(name).to_str().expect("the path is text").to_owned()
    }

    /// A client that trusts this authority, and shows its certificate.
    pub(crate) fn known_client(&self) -> TlsOptions {
        TlsOptions {
            cert_file: self.file("client.pem"),
            key_file: self.file("client.key"),
            ..self.unknown_client()
        }
    }

    /// A client that trusts this authority and shows nothing.
    pub(crate) fn unknown_client(&self) -> TlsOptions {
        TlsOptions {
            ca_file: self.file("ca.pem"),
            ..TlsOptions::default()
        }
    }

    fn write(&self, name: &str, pem: &str) {
        fs::write(self.path(name), pem).expect("the folder is ours");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// OpenSSL takes a certificate for self-signed if it is called as its authority is.
fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("the address is right");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("this machine has randomness")
}
