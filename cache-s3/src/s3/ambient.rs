use cache_core::{Error, Result};
use object_store::{
    ClientConfigKey,
    aws::{AmazonS3Builder, AmazonS3ConfigKey as Key},
};
use reqwest::Url;

use super::environment::{self, Environment, Keys, Profile};
use crate::{S3Options, endpoint};

/// What the options say, and what this machine says where they say nothing. The options win, one by one.
#[derive(Debug)]
pub(super) struct Ambient {
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<Url>,
    credentials: Credentials,
}

#[derive(Debug)]
enum Credentials {
    None,
    Fixed(Keys),
    /// Who is to be asked for credentials: web identities, containers, instances.
    Asked(Vec<(Key, String)>),
}

/// By what credentials are asked for; all of the rest of the environment is left alone.
const WEB_IDENTITY: [Key; 4] =
    [Key::WebIdentityTokenFile, Key::RoleArn, Key::RoleSessionName, Key::StsEndpoint];
const MACHINE: [Key; 5] = [
    Key::ContainerCredentialsRelativeUri,
    Key::ContainerCredentialsFullUri,
    Key::ContainerAuthorizationTokenFile,
    Key::MetadataEndpoint,
    Key::ImdsV1Fallback,
];

impl Ambient {
    pub(super) fn new(options: &S3Options, environment: &Environment) -> Result<Self> {
        let profile = environment.profile();
        let credentials = credentials(options, environment, &profile)?;
        // A profile that cannot be read matters to those only who need what it says.
        let profile = profile.unwrap_or_default();
        let region = options.region.clone().or_else(|| environment.variable(Key::Region)).or(profile.region);
        if region.as_deref().is_some_and(|region| !is_region(region)) {
            return Err(Error::invalid("region: not a name, such as `eu-central-1`"));
        }
        let endpoint = match &options.endpoint {
            Some(endpoint) => Some(endpoint::parse(endpoint, options.allow_http)?),
            None => {
                let allowed = environment.variable(Key::Client(ClientConfigKey::AllowHttp));
                let allow_http =
                    options.allow_http || allowed.is_some_and(|allowed| allowed.eq_ignore_ascii_case("true"));
                let variable =
                    environment.variable(Key::S3Endpoint).or_else(|| environment.variable(Key::Endpoint));
                let endpoint = variable.or(profile.endpoint);
                endpoint.map(|endpoint| endpoint::parse(&endpoint, allow_http)).transpose()?
            }
        };
        Ok(Self { region, endpoint, credentials })
    }

    /// The bucket's URL.
    pub(super) fn url(&self, options: &S3Options) -> Result<Url> {
        let bucket = &options.bucket;
        let region = self.region.as_deref().unwrap_or(super::DEFAULT_REGION);
        let mut url = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => {
                let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
                endpoint::parse(&format!("https://s3.{region}.{domain}"), false)?
            }
        };
        if options.virtual_hosted {
            let host = url.domain().map(|domain| format!("{bucket}.{domain}"));
            let host =
                host.ok_or_else(|| Error::invalid("virtual_hosted: the endpoint is an address, not a name"))?;
            url.set_host(Some(&host))
                .map_err(|_| Error::invalid("virtual_hosted: the bucket is no part of a host's name"))?;
        } else if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(bucket);
        }
        Ok(url)
    }

    /// Gives the credentials to a client.
    pub(super) fn sign(&self, builder: AmazonS3Builder) -> AmazonS3Builder {
        match &self.credentials {
            Credentials::None => builder,
            Credentials::Fixed(Keys { key, secret, token }) => {
                let builder = builder.with_access_key_id(key).with_secret_access_key(secret.reveal());
                match token {
                    Some(token) => builder.with_token(token.reveal()),
                    None => builder,
                }
            }
            Credentials::Asked(settings) => {
                settings.iter().fold(builder, |builder, (key, value)| builder.with_config(*key, value))
            }
        }
    }
}

fn credentials(
    options: &S3Options,
    environment: &Environment,
    profile: &Result<Profile>,
) -> Result<Credentials> {
    if let (Some(key), Some(secret)) = (&options.access_key_id, &options.secret_access_key) {
        let (key, secret, token) = (key.reveal().to_owned(), secret.clone(), options.session_token.clone());
        return Ok(Credentials::Fixed(Keys { key, secret, token }));
    }
    if options.anonymous {
        return Ok(Credentials::None);
    }
    if let Some(keys) = environment.keys()? {
        return Ok(Credentials::Fixed(keys));
    }
    let asked = |settings: &[Key]| {
        let settings = settings.iter().filter_map(|key| Some((*key, environment.variable(*key)?)));
        let settings: Vec<_> = settings.collect();
        settings.iter().try_for_each(|(key, value)| check_setting(*key, value))?;
        Ok(Credentials::Asked(settings))
    };
    if environment.variable(Key::WebIdentityTokenFile).is_some()
        && environment.variable(Key::RoleArn).is_some()
    {
        return asked(&WEB_IDENTITY);
    }
    match profile {
        Err(error) => Err(error.clone()),
        Ok(Profile { keys: Some(keys), .. }) => Ok(Credentials::Fixed(keys.clone())),
        Ok(_) => match environment.without_keys() {
            Some(error) => Err(error),
            None => asked(&MACHINE),
        },
    }
}

/// What object_store would panic at when it asks for credentials.
fn check_setting(key: Key, value: &str) -> Result<()> {
    let wrong = match key {
        Key::ContainerCredentialsFullUri | Key::MetadataEndpoint | Key::StsEndpoint
            if !endpoint::is_http(value) =>
        {
            "not a URL with http:// or https://"
        }
        Key::ContainerCredentialsRelativeUri
            if !value.starts_with('/') || !endpoint::is_http(&format!("http://169.254.170.2{value}")) =>
        {
            "not the path of a URL"
        }
        Key::ContainerAuthorizationTokenFile if !environment::is_token(value) => {
            "the token in this file has a line break, or other characters that no header has"
        }
        _ => return Ok(()),
    };
    Err(Error::invalid(format!("{}: {wrong}", key.as_ref().to_ascii_uppercase())))
}

fn is_region(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

#[cfg(test)]
mod tests;
