use std::fs;

use cache_core::ErrorKind;
use object_store::{
    ClientConfigKey,
    aws::{AmazonS3Builder, AmazonS3ConfigKey as Key},
};

use super::{Ambient, Credentials, Environment};
use crate::S3Options;

fn variables(values: &[(Key, &str)]) -> Environment {
    let variables =
        values.iter().fold(AmazonS3Builder::new(), |builder, (key, value)| builder.with_config(*key, *value));
    Environment { variables, ..Environment::default() }
}

const KEYS: [(Key, &str); 3] =
    [(Key::AccessKeyId, "AKIDENV"), (Key::SecretAccessKey, "canary"), (Key::Token, "canary")];

fn url(options: &S3Options, environment: &Environment) -> String {
    Ambient::new(options, environment).unwrap().url(options).unwrap().to_string()
}

#[test]
fn urls_name_the_bucket_and_nothing_twice() {
    let none = Environment::default();
    let base = || S3Options::new("builds");
    for (options, expected) in [
        (base(), "https://s3.us-east-1.amazonaws.com/builds"),
        (base().with_region("eu-west-1"), "https://s3.eu-west-1.amazonaws.com/builds"),
        (base().with_region("cn-north-1"), "https://s3.cn-north-1.amazonaws.com.cn/builds"),
        (base().with_virtual_hosted(true), "https://builds.s3.us-east-1.amazonaws.com/"),
        (base().with_endpoint("https://[::1]:9000/"), "https://[::1]:9000/builds"),
        (base().with_endpoint("https://gate.example.org/s3"), "https://gate.example.org/s3/builds"),
        (
            base().with_endpoint("https://example.org:9000").with_virtual_hosted(true),
            "https://builds.example.org:9000/",
        ),
    ] {
        assert_eq!(url(&options, &none), expected);
    }
    let by_address = base().with_endpoint("https://127.0.0.1").with_virtual_hosted(true);
    let error = Ambient::new(&by_address, &none).unwrap().url(&by_address).unwrap_err();
    assert!(error.to_line().contains("virtual_hosted"));
}

#[test]
fn options_win_over_the_environment_one_by_one() {
    let environment = variables(&[
        (Key::Region, "eu-west-1"),
        (Key::Endpoint, "https://any.example.org"),
        (Key::S3Endpoint, "https://s3.example.org"),
    ]);
    let base = S3Options::new("b-b");
    assert_eq!(url(&base, &environment), "https://s3.example.org/b-b");
    let ambient = Ambient::new(&base, &environment).unwrap();
    assert_eq!(ambient.region.as_deref(), Some("eu-west-1"));
    let options = base.with_region("eu-north-1").with_endpoint("https://mine.example.org");
    let ambient = Ambient::new(&options, &environment).unwrap();
    assert_eq!(ambient.region.as_deref(), Some("eu-north-1"));
    assert_eq!(ambient.url(&options).unwrap().as_str(), "https://mine.example.org/b-b");
    let error = Ambient::new(&options.with_region("eu/west"), &environment).unwrap_err();
    assert!(error.to_line().contains("region"));
}

#[test]
fn plain_http_of_the_environment_needs_the_same_to_allow_it() {
    let base = S3Options::new("builds");
    let plain = [(Key::Endpoint, "http://127.0.0.1:9000")];
    assert_eq!(Ambient::new(&base, &variables(&plain)).unwrap_err().kind(), ErrorKind::Invalid);
    let allowed = [plain[0], (Key::Client(ClientConfigKey::AllowHttp), "true")];
    assert_eq!(url(&base, &variables(&allowed)), "http://127.0.0.1:9000/builds");
    // What the environment allows is allowed to its own endpoint only.
    let mine = base.with_endpoint("http://127.0.0.1:9001");
    assert_eq!(Ambient::new(&mine, &variables(&allowed)).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn credentials_are_looked_for_in_their_order() {
    let credentials = |options: &S3Options, environment: &Environment| {
        Ambient::new(options, environment).unwrap().credentials
    };
    let base = S3Options::new("builds");
    let web = [
        (Key::WebIdentityTokenFile, "/token"),
        (Key::RoleArn, "arn"),
        (Key::ContainerCredentialsRelativeUri, "/c"),
    ];
    let all: Vec<_> = KEYS.into_iter().chain(web).collect();

    let mine = base.clone().with_credentials("AKIDMINE", "canary");
    let Credentials::Fixed(keys) = credentials(&mine, &variables(&all)) else { panic!("not fixed") };
    assert_eq!(keys.key, "AKIDMINE");
    assert!(keys.token.is_none(), "the token of somebody else's key");

    let anonymous = base.clone().with_anonymous(true);
    assert!(matches!(credentials(&anonymous, &variables(&all)), Credentials::None));

    let Credentials::Fixed(keys) = credentials(&base, &variables(&all)) else { panic!("not fixed") };
    assert_eq!((keys.key.as_str(), keys.token.is_some()), ("AKIDENV", true));

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("credentials");
    fs::write(&file, "[default]\naws_access_key_id=AKIDFILE\naws_secret_access_key=canary\n").unwrap();
    let with_file =
        |values: &[(Key, &str)]| Environment { credentials_file: Some(file.clone()), ..variables(values) };
    let Credentials::Asked(asked) = credentials(&base, &with_file(&web)) else { panic!("not asked") };
    assert_eq!(asked.len(), 2, "the web identity only: {asked:?}");
    let Credentials::Fixed(keys) = credentials(&base, &with_file(&web[1..])) else { panic!("not fixed") };
    assert_eq!(keys.key, "AKIDFILE");

    let Credentials::Asked(asked) = credentials(&base, &variables(&web[2..])) else { panic!("not asked") };
    assert!(matches!(asked[..], [(Key::ContainerCredentialsRelativeUri, _), ..]), "{asked:?}");
}

#[test]
fn a_bad_profile_matters_to_those_only_who_need_its_keys() {
    let named =
        |values: &[(Key, &str)]| Environment { profile: Some("absent".to_owned()), ..variables(values) };
    let base = S3Options::new("builds");
    assert_eq!(Ambient::new(&base, &named(&[])).unwrap_err().kind(), ErrorKind::Invalid);
    Ambient::new(&base, &named(&KEYS)).unwrap();
    Ambient::new(&base.with_credentials("AKID", "canary"), &named(&[])).unwrap();
}

#[test]
fn nothing_of_it_prints_secrets() {
    let printed = format!("{:?}", Ambient::new(&S3Options::new("builds"), &variables(&KEYS)).unwrap());
    assert!(printed.contains("AKIDENV") && !printed.contains("canary"), "{printed}");
}
