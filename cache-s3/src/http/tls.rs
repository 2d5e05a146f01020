use std::sync::Arc;

use cache_core::{Error, ErrorKind, Result};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::STORE;

/// TLS by rustls and ring with the certificates that this machine trusts. Nothing of the process is set.
///
/// A machine without any certificate is good enough for a server that speaks plain HTTP.
pub(super) fn config(needed: bool) -> Result<ClientConfig> {
    let builder = || {
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
    };
    let failed = |error| {
        Error::new(ErrorKind::Unavailable, STORE, "open")
            .with_detail("no certificates of this machine to check the server's with")
            .with_source(error)
    };
    let mut config = match builder().map_err(failed)?.with_platform_verifier() {
        Ok(config) => config.with_no_client_auth(),
        Err(_) if !needed => {
            builder().map_err(failed)?.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        }
        Err(error) => return Err(failed(error)),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
