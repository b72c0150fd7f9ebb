//! The server's own certificate: read from files, or made once and kept; and the authorities it trusts when it dials.
//! Chooses by configuration; TLS itself is `net`'s.

use crate::config::Config;
use net::tls::{TlsClient, TlsServer};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// Checks that both files can be used together.
pub(crate) fn check_pair(certificate: &Path, private_key: &Path) -> Result<(), String> {
    TlsServer::from_pem(certificate, private_key).map(|_| ()).map_err(|error| error.to_string())
}

/// Checks that a file has authorities to trust.
pub(crate) fn check_authorities(file: &Path) -> Result<(), String> {
    TlsClient::verified(Some(file)).map(|_| ()).map_err(|error| error.to_string())
}

/// Checks that a file has authorities for clients.
pub(crate) fn check_client_authority(file: &Path) -> Result<(), String> {
    net::ClientTrust::new(&[], Some(file)).map(|_| ()).map_err(|error| error.to_string())
}

/// The certificate of the configuration, which asks clients for theirs where some are known.
pub(crate) fn of(config: &Config) -> Result<Option<Arc<TlsServer>>, String> {
    let Some(tls) = own(config)? else { return Ok(None) };
    if config.client_certificates.is_empty() && config.client_ca.is_none() {
        return Ok(Some(Arc::new(tls)));
    }
    let clients = net::ClientTrust::new(&config.client_certificates, config.client_ca.as_deref());
    Ok(Some(Arc::new(tls.asking_clients(clients.map_err(|error| error.to_string())?))))
}

/// The certificate of the configuration; a self-signed one is for the host name, the domains and loopback.
fn own(config: &Config) -> Result<Option<TlsServer>, String> {
    let told = |error: net::tls::TlsError| error.to_string();
    if let (Some(certificate), Some(private_key)) = (&config.certificate, &config.private_key) {
        return TlsServer::from_pem(certificate, private_key).map(Some).map_err(told);
    }
    if !config.self_signed {
        return Ok(None);
    }
    let mut names = vec![config.hostname.clone()];
    names.extend(config.domains.iter().cloned());
    names.push("localhost".into());
    names.extend([IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])].iter().map(ToString::to_string));
    TlsServer::self_signed(&config.data_dir, &names).map(Some).map_err(told)
}
