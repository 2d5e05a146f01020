use std::{fs, path::PathBuf};

use cache_core::ErrorKind;
use object_store::aws::AmazonS3Builder;
use tempfile::TempDir;

use super::Environment;

fn files(credentials: &str, config: &str) -> (TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("credentials"), dir.path().join("config"));
    fs::write(&first, credentials).unwrap();
    fs::write(&second, config).unwrap();
    (dir, first, second)
}

fn environment(profile: Option<&str>, credentials: &str, config: &str) -> (TempDir, Environment) {
    let (dir, first, second) = files(credentials, config);
    let environment = Environment {
        variables: AmazonS3Builder::new(),
        profile: profile.map(str::to_owned),
        credentials_file: Some(first),
        config_file: Some(second),
    };
    (dir, environment)
}

const CREDENTIALS: &str = "# a comment
[default]
aws_access_key_id = AKIDDEFAULT
aws_secret_access_key=abc/def+ghi=

[work]
aws_access_key_id=AKIDWORK
aws_secret_access_key = canary
aws_session_token = IQoJb3Jp//Z2luX2Vj==
";

const CONFIG: &str = "[default]
region = eu-west-1
[profile work]
region=eu-central-1
endpoint_url = https://s3.example.org
s3 =
  max_concurrent_requests = 20
[profile role]
role_arn = arn:aws:iam::123456789012:role/x
source_profile = work
[profile whole]
aws_access_key_id = AKIDWHOLE
aws_secret_access_key = canary
";

#[test]
fn profiles_have_their_keys_region_and_endpoint() {
    let (_dir, plain) = environment(None, CREDENTIALS, CONFIG);
    let profile = plain.profile().unwrap();
    let keys = profile.keys.unwrap();
    assert_eq!((keys.key.as_str(), keys.secret.reveal()), ("AKIDDEFAULT", "abc/def+ghi="));
    assert!(keys.token.is_none());
    assert_eq!((profile.region.as_deref(), profile.endpoint), (Some("eu-west-1"), None));

    let (_dir, named) = environment(Some("work"), CREDENTIALS, CONFIG);
    let profile = named.profile().unwrap();
    let keys = profile.keys.unwrap();
    assert_eq!((keys.key.as_str(), keys.secret.reveal()), ("AKIDWORK", "canary"));
    assert_eq!(keys.token.unwrap().reveal(), "IQoJb3Jp//Z2luX2Vj==");
    assert_eq!(profile.region.as_deref(), Some("eu-central-1"));
    assert_eq!(profile.endpoint.as_deref(), Some("https://s3.example.org"));

    let (_dir, whole) = environment(Some("whole"), CREDENTIALS, CONFIG);
    assert_eq!(whole.profile().unwrap().keys.unwrap().key, "AKIDWHOLE");
}

#[test]
fn a_profile_that_is_asked_for_by_name_has_to_be_there() {
    let (_dir, absent) = environment(Some("absent"), CREDENTIALS, CONFIG);
    assert_eq!(absent.profile().unwrap_err().kind(), ErrorKind::Invalid);
    let (_dir, role) = environment(Some("role"), CREDENTIALS, CONFIG);
    assert!(role.profile().unwrap().keys.is_none());
    assert!(role.without_keys().unwrap().to_line().contains("`role`"));
    let (_dir, plain) = environment(None, "", "");
    let profile = plain.profile().unwrap();
    assert!(profile.keys.is_none() && profile.region.is_none());
    assert!(plain.without_keys().is_none());
}

#[test]
fn files_that_cannot_be_read_matter_to_those_who_ask_for_a_profile() {
    let broken = "[work\naws_secret_access_key = canary";
    let (_dir, plain) = environment(None, broken, "");
    assert!(plain.profile().unwrap().keys.is_none());
    let (_dir, named) = environment(Some("work"), broken, "");
    let error = named.profile().unwrap_err().to_line();
    assert!(error.contains("credentials: not a file of settings") && !error.contains("canary"), "{error}");

    let (dir, _, config) = files("", "");
    let directory = Some(dir.path().to_owned());
    let plain =
        Environment { credentials_file: directory, config_file: Some(config), ..Environment::default() };
    assert!(plain.profile().unwrap().keys.is_none());
    let named = Environment { profile: Some("work".to_owned()), ..plain };
    assert_eq!(named.profile().unwrap_err().kind(), ErrorKind::Denied);
}

#[test]
fn halves_of_keys_and_keys_that_fit_into_no_header_are_refused() {
    for keys in ["aws_access_key_id = canary", "aws_secret_access_key = canary"] {
        let (_dir, half) = environment(None, &format!("[default]\n{keys}\n"), "");
        let error = half.profile().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(!error.to_line().contains("canary"));
    }
    let variables =
        AmazonS3Builder::new().with_access_key_id("canary").with_secret_access_key("canary\u{e9}");
    let odd = Environment { variables, ..Environment::default() };
    assert!(!odd.keys().unwrap_err().to_line().contains("canary"));
    assert!(Environment::default().keys().unwrap().is_none());
}
