//! A certificate authority for tests, and rustls configurations made of it.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

/// An authority whose files live as long as it does.
pub struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
    /// Removes `folder`, where it is the authority's own.
    _own: Option<TempDir>,
    certificate: PathBuf,
}

/// A certificate and its key, as PEM files.
pub struct Issued {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl TestCa {
    /// Makes an authority that nobody trusts yet.
    ///
    /// # Errors
    /// If its files cannot be written.
    pub fn new() -> Result<Self> {
        let own = tempfile::tempdir()?;
        let ca = Self::in_folder(own.path())?;
        Ok(Self { _own: Some(own), ..ca })
    }

    /// As [`TestCa::new`], with its files in `folder`, which outlives it.
    ///
    /// # Errors
    /// If its files cannot be written.
    pub fn in_folder(folder: &Path) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = named("chaperone-e2e");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let certificate = folder.join("ca.crt");
        std::fs::write(&certificate, issuer.pem())?;
        Ok(Self { issuer, folder: folder.to_owned(), _own: None, certificate })
    }

    /// The authority's own certificate.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// The authority's own certificate, as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for `name`, a host name or an address.
    ///
    /// # Errors
    /// If `name` is neither, or files cannot be written.
    pub fn issue(&self, name: &str) -> Result<Issued> {
        self.issue_for(name, &[name])
    }

    /// A server's certificate for all of `names`, in files called after `stem`.
    ///
    /// # Errors
    /// If one is neither a host name nor an address, or files cannot be written.
    pub fn issue_for(&self, stem: &str, names: &[&str]) -> Result<Issued> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        self.sign(stem, CertificateParams::new(names)?)
    }

    /// As [`TestCa::issue_for`], good until this year begins.
    ///
    /// # Errors
    /// As [`TestCa::issue_for`].
    pub fn issue_until(&self, stem: &str, names: &[&str], year: i32) -> Result<Issued> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        self.sign(stem, params)
    }

    /// A server's certificate for `name` that was good for a day, years ago.
    ///
    /// # Errors
    /// If `name` is none, or files cannot be written.
    pub fn issue_expired(&self, name: &str) -> Result<Issued> {
        self.sign(&format!("{name}-expired"), expired(name)?)
    }

    /// A client's certificate, which tells an API server who calls: the common name and the organization.
    ///
    /// # Errors
    /// If files cannot be written.
    pub fn issue_user(&self, user: &str, group: &str) -> Result<Issued> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = named(user);
        params.distinguished_name.push(DnType::OrganizationName, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&user.replace([':', '/'], "-"), params)
    }

    fn sign(&self, stem: &str, params: CertificateParams) -> Result<Issued> {
        issued(params, &self.issuer, (&self.folder, stem))
    }
}

/// A server's certificate for `name`, good for a day years ago, under the authority of this name and key; two PEM files
/// in `folder`.
///
/// # Errors
/// If the key is none, or files cannot be written.
pub fn expired_under(authority: &str, key: &str, name: &str, folder: &Path) -> Result<Issued> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = named(authority);
    // Name and key are all that a signature takes from an authority.
    let issuer = Issuer::new(params, KeyPair::from_pem(key)?);
    issued(expired(name)?, &issuer, (folder, "expired"))
}

fn expired(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 1, 2);
    Ok(params)
}

fn issued(
    params: CertificateParams,
    issuer: &Issuer<'_, KeyPair>,
    (folder, stem): (&Path, &str),
) -> Result<Issued> {
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    let issued =
        Issued { certificate: folder.join(format!("{stem}.crt")), key: folder.join(format!("{stem}.key")) };
    std::fs::write(&issued.certificate, certificate.pem())?;
    std::fs::write(&issued.key, key.serialize_pem())?;
    Ok(issued)
}

/// A key pair without a certificate, as two PEM files in `folder`: private as `sa.key`, public as `sa.pub`.
///
/// # Errors
/// If they cannot be written.
pub fn signing_key(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let pair = KeyPair::generate()?;
    let (private, public) = (folder.join("sa.key"), folder.join("sa.pub"));
    std::fs::write(&private, pair.serialize_pem())?;
    std::fs::write(&public, pair.public_key_pem())?;
    Ok((private, public))
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// Accepts TLS with this certificate.
///
/// # Errors
/// If a file is missing or is not PEM.
pub fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Trusts the authority in this file, and no other.
///
/// # Errors
/// If the file is missing or is not PEM.
pub fn trusting(ca: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).context("authority")?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
