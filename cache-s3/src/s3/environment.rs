use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use cache_core::{Error, ErrorKind, Result};
use configparser::ini::Ini;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Key};

use super::is_credential;
use crate::Secret;

/// What this machine says about S3: its environment, and the files of the AWS tools. No other file reads them.
#[derive(Default)]
pub(super) struct Environment {
    /// What object_store knows of the environment. It has secrets, and prints them.
    pub(super) variables: AmazonS3Builder,
    /// The profile that is asked for by name.
    pub(super) profile: Option<String>,
    pub(super) credentials_file: Option<PathBuf>,
    pub(super) config_file: Option<PathBuf>,
}

/// A key, its secret, and the token of temporary ones.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) key: String,
    pub(super) secret: Secret,
    pub(super) token: Option<Secret>,
}

/// A profile of the AWS tools, as far as it is fixed: nothing of it is asked for anywhere.
#[derive(Debug, Default)]
pub(super) struct Profile {
    pub(super) keys: Option<Keys>,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
}

impl Environment {
    pub(super) fn read() -> Self {
        let aws = env::home_dir().map(|home| home.join(".aws"));
        let file = |variable, name| {
            read(variable).map(PathBuf::from).or_else(|| aws.as_ref().map(|aws| aws.join(name)))
        };
        Self {
            variables: AmazonS3Builder::from_env(),
            profile: read("AWS_PROFILE").and_then(|name| name.into_string().ok()),
            credentials_file: file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            config_file: file("AWS_CONFIG_FILE", "config"),
        }
    }

    /// What a variable says, by object_store's name for it.
    pub(super) fn variable(&self, key: Key) -> Option<String> {
        let value = self.variables.get_config_value(&key)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// The keys that the environment names, if it names any.
    pub(super) fn keys(&self) -> Result<Option<Keys>> {
        let keys = [Key::AccessKeyId, Key::SecretAccessKey, Key::Token].map(|key| self.variable(key));
        keys_of(keys, || "the environment's credentials".to_owned())
    }

    /// The profile that is asked for by name, else the default one: empty if there is none.
    ///
    /// What cannot be read is as good as not there, unless it is asked for by name.
    pub(super) fn profile(&self) -> Result<Profile> {
        let name = self.profile.as_deref().unwrap_or("default");
        let credentials = self.section(self.credentials_file.as_deref(), &[name.to_owned()])?;
        let mut sections = vec![format!("profile {name}")];
        if name == "default" {
            sections.push(name.to_owned());
        }
        let config = self.section(self.config_file.as_deref(), &sections)?;
        if self.profile.is_some() && credentials.is_none() && config.is_none() {
            return Err(Error::invalid(format!("there is no AWS profile `{name}`")));
        }
        let said = |key: &str| {
            let value = [&credentials, &config]
                .into_iter()
                .flatten()
                .find_map(|(ini, section)| ini.get(section, key));
            value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let keys = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"].map(said);
        Ok(Profile {
            keys: keys_of(keys, || format!("the AWS profile `{name}`"))?,
            region: said("region"),
            endpoint: said("endpoint_url"),
        })
    }

    /// The error of a profile that is asked for by name and has no keys.
    pub(super) fn without_keys(&self) -> Option<Error> {
        let name = self.profile.as_ref()?;
        Some(Error::invalid(format!(
            "the AWS profile `{name}` has no static keys, and roles, single sign-on and processes are not asked: \
             put temporary keys into the environment"
        )))
    }

    /// The first of these sections that a file has.
    fn section(&self, file: Option<&Path>, names: &[String]) -> Result<Option<(Ini, String)>> {
        let Some(file) = file else { return Ok(None) };
        let unreadable = |kind, wrong: &str| match self.profile {
            Some(_) => Err(Error::new(kind, "", "").with_detail(format!("{}: {wrong}", file.display()))),
            None => {
                tracing::warn!(file = %file.display(), wrong, "an AWS file is passed over");
                Ok(None)
            }
        };
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return unreadable(ErrorKind::Denied, &error.to_string()),
        };
        let mut ini = Ini::new_cs();
        // Its error quotes the line, which may be a secret.
        if ini.read(text).is_err() {
            return unreadable(ErrorKind::Invalid, "not a file of settings");
        }
        let found = names.iter().find(|name| ini.get_map_ref().contains_key(*name)).cloned();
        Ok(found.map(|name| (ini, name)))
    }
}

/// Keys are whole or not there; a half of them is an error of the place.
fn keys_of(keys: [Option<String>; 3], place: impl Fn() -> String) -> Result<Option<Keys>> {
    let wrong = |wrong| Err(Error::invalid(format!("{}: {wrong}", place())));
    match keys {
        [None, None, _] => Ok(None),
        [Some(key), Some(secret), token] => {
            if ![Some(&key), Some(&secret), token.as_ref()]
                .into_iter()
                .flatten()
                .all(|text| is_credential(text))
            {
                return wrong("not printable ASCII without spaces");
            }
            Ok(Some(Keys { key, secret: secret.into(), token: token.map(Secret::from) }))
        }
        _ => wrong("a key and its secret need each other"),
    }
}

/// Whether what a file holds may stand in a header. A file that cannot be read is told of when it is needed.
pub(super) fn is_token(file: &str) -> bool {
    fs::read(file).map_or(true, |token| http::HeaderValue::from_bytes(&token).is_ok())
}

#[expect(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
fn read(variable: &str) -> Option<OsString> {
    env::var_os(variable).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests;
