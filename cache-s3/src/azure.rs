//! Azure Blob Storage.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use cache_core::{Error, Result};
use object_store::{
    ClientOptions, ObjectStore,
    azure::{AzureConfigKey as Key, MicrosoftAzure, MicrosoftAzureBuilder},
};

use crate::{
    AzureOptions, endpoint,
    failure::from_object_store,
    http::{Connector, within},
    provider::{Handles, Provider, Upload, below},
    remote::{check_listing, check_name, is_header},
};

/// By what credentials are had; all of the rest of the environment is left alone.
const AMBIENT: [Key; 12] = [
    Key::AccessKey,
    Key::SasKey,
    Key::Token,
    Key::ClientId,
    Key::ClientSecret,
    Key::AuthorityId,
    Key::AuthorityHost,
    Key::FederatedTokenFile,
    Key::MsiEndpoint,
    Key::ObjectId,
    Key::MsiResourceId,
    Key::UseAzureCli,
];

/// A container, and how to reach it.
pub(crate) struct Azure {
    options: AzureOptions,
    connector: Connector,
    /// What was connected last.
    current: ArcSwapOption<MicrosoftAzure>,
}

impl Azure {
    /// Checks the options.
    pub(crate) fn new(options: AzureOptions) -> Result<Self> {
        endpoint::check(options.connect_timeout, options.retries, &options.store)?;
        check_name("account", &options.account)?;
        check_name("container", &options.container)?;
        if options.access_key.is_some() && options.sas.is_some() {
            return Err(Error::invalid("sas: there is an access key, too"));
        }
        let tls = match &options.endpoint {
            Some(endpoint) => endpoint::parse(endpoint, options.allow_http)?.scheme() == "https",
            None => !options.emulator,
        };
        let settings = endpoint::settings(options.connect_timeout, options.retries, &options.store, tls);
        Ok(Self { options, connector: Connector::new(settings)?, current: ArcSwapOption::empty() })
    }

    fn connected(&self) -> Result<Arc<MicrosoftAzure>> {
        match self.current.load_full() {
            Some(azure) => Ok(azure),
            None => self.connect_anew(),
        }
    }

    fn connect_anew(&self) -> Result<Arc<MicrosoftAzure>> {
        let options = &self.options;
        let mut builder = MicrosoftAzureBuilder::new()
            .with_account(&options.account)
            .with_container_name(&options.container)
            .with_http_connector(self.connector.clone())
            .with_retry(endpoint::retry(options.retries, &options.store))
            .with_client_options(ClientOptions::new().with_allow_http(options.allow_http))
            .with_skip_signature(options.anonymous)
            .with_use_emulator(options.emulator);
        if let Some(endpoint) = &options.endpoint {
            builder = builder.with_endpoint(endpoint.trim().trim_end_matches('/').to_owned());
        }
        builder = if let Some(key) = &options.access_key {
            builder.with_access_key(key.reveal())
        } else if let Some(sas) = &options.sas {
            builder.with_config(Key::SasKey, sas.reveal())
        } else if options.anonymous || options.emulator {
            builder
        } else {
            let environment = MicrosoftAzureBuilder::from_env();
            AMBIENT.into_iter().try_fold(builder, |builder, key| {
                match environment.get_config_value(&key) {
                    Some(value) if !value.trim().is_empty() => {
                        check_setting(key, &value)?;
                        Ok::<_, Error>(builder.with_config(key, value))
                    }
                    _ => Ok(builder),
                }
            })?
        };
        let azure = Arc::new(builder.build().map_err(from_object_store)?);
        self.current.store(Some(azure.clone()));
        Ok(azure)
    }
}

#[async_trait]
impl Provider for Azure {
    fn connect(&self) -> Result<Handles> {
        let azure = self.connect_anew()?;
        let objects: Arc<dyn ObjectStore> = azure.clone();
        // The emulator cannot begin a listing in the middle.
        Ok(Handles {
            batches: objects.clone(),
            objects,
            pages: if self.options.emulator { None } else { Some(azure) },
        })
    }

    fn renews(&self) -> bool {
        let AzureOptions { access_key, sas, anonymous, emulator, .. } = &self.options;
        access_key.is_none() && sas.is_none() && !anonymous && !emulator
    }

    fn location(&self, prefix: &str) -> String {
        let AzureOptions { account, container, .. } = &self.options;
        let location = match &self.options.endpoint {
            Some(endpoint) => format!("{}/{container}", endpoint.trim().trim_end_matches('/')),
            None => format!("az://{account}/{container}"),
        };
        below(location, prefix)
    }

    async fn check(&self) -> Result<()> {
        let what = format!("container `{}`", self.options.container);
        let store = &self.options.store;
        within(store.timeout, "open", async {
            check_listing(self.connected()?.as_ref(), &store.prefix, &what).await
        })
        .await
    }

    /// Azure drops the parts of what was not ended by itself, after a week, and lists none.
    async fn uploads(&self, _: &str) -> Result<Vec<Upload>> {
        Ok(Vec::new())
    }

    async fn abort(&self, _: &Upload) -> Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Azure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Azure").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What object_store would panic at when it asks for credentials.
fn check_setting(key: Key, value: &str) -> Result<()> {
    let wrong = match key {
        Key::AuthorityHost | Key::MsiEndpoint if !endpoint::is_http(value) => {
            "not a URL with http:// or https://"
        }
        Key::Token if !is_header(value) => "has characters that no header has",
        _ => return Ok(()),
    };
    Err(Error::invalid(format!("{} of the environment: {wrong}", key.as_ref())))
}

#[cfg(test)]
mod tests;
