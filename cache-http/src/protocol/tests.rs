use super::*;
use crate::{named_key::named_key, path::split};

const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const KEY_33: &str = "079dh92q6rkcl2hcgmgsql5pd6eov28fu";
const KEY_40: &str = "079d8a45a36e8ca8a2c85a1cd54b9699d8f890ff";

fn locate(path: &str) -> Result<(String, Digest, Content), u16> {
    let parts = split(path).map_err(|refused| refused.status().as_u16())?;
    let target = find(&parts).map_err(|refused| refused.status().as_u16())?;
    Ok((format!("{}/{}", target.namespace, target.space.join("/")), target.digest, target.content))
}

#[track_caller]
fn found(path: &str, namespace: &str, digest: Digest, content: Content) {
    assert_eq!(locate(path), Ok((namespace.to_owned(), digest, content)), "{path}");
}

#[track_caller]
fn refused(path: &str, status: u16) {
    assert_eq!(locate(path), Err(status), "{path}");
}

#[test]
fn mounts_store_where_they_promise() {
    let digest = HEX.parse().unwrap();
    found(&format!("/cas/{HEX}"), "default/cas", digest, Content::Addressed);
    found(&format!("/ac/{HEX}"), "default/ac", digest, Content::Opaque);
    found(&format!("/team/cas/{HEX}"), "team/cas", digest, Content::Addressed);
    found(&format!("/team/bazel/cas/{HEX}"), "team/cas", digest, Content::Addressed);
    found(&format!("/team/bazel/ac/{HEX}"), "team/bazel/ac", digest, Content::Opaque);
    found(&format!("//team//cas///{HEX}"), "team/cas", digest, Content::Addressed);
    let key = named_key("ccache", KEY_33);
    found(&format!("/team/ccache/{KEY_33}"), "team/ccache", key, Content::Opaque);
}

#[test]
fn ccache_key_is_one_key_in_flat_and_in_subdirs() {
    for key in [KEY_33, KEY_40] {
        let (head, tail) = key.split_at(2);
        let digest = named_key("ccache", key);
        found(&format!("/ccache/{key}"), "default/ccache", digest, Content::Opaque);
        found(&format!("/ccache/{head}/{tail}"), "default/ccache", digest, Content::Opaque);
    }
    let (_, tail) = KEY_33.split_at(2);
    let digest = named_key("ccache", &format!("ac{tail}"));
    found(&format!("/ccache/ac/{tail}"), "default/ccache", digest, Content::Opaque);
    let digest = named_key("ccache", &format!("ac/{HEX}"));
    found(&format!("/ccache/ac/{HEX}"), "default/ccache", digest, Content::Opaque);
}

#[test]
fn malformed_keys_are_bad_requests() {
    for key in ["x", "ABC", &HEX[1..], &HEX.to_uppercase(), &format!("{HEX}0"), &"a".repeat(256)] {
        refused(&format!("/cas/{key}"), 400);
        refused(&format!("/team/ac/{key}"), 400);
        refused(&format!("/bazel/cas/{key}"), 400);
        refused(&format!("/ccache/{key}"), 400);
    }
    for key in [
        HEX.to_owned(),
        KEY_33.to_uppercase(),
        KEY_33.replace('0', "w"),
        format!("{KEY_33}/"),
        format!("0/{}", &KEY_33[1..]),
        format!("079/{}", &KEY_33[3..]),
        format!("07/9d/{}", &KEY_33[4..]),
        format!("cas/{HEX}"),
    ] {
        refused(&format!("/ccache/{key}"), 400);
    }
}

#[test]
fn unknown_routes_are_not_found() {
    for path in
        ["/", "/x", "/x/y", "/cas", "/cas/", "/ccache/", "/bazel", "/bazel/x", "/team/cas", "/healthz/x"]
    {
        refused(path, 404);
    }
    refused(&format!("/bazel/{HEX}"), 404);
    refused(&format!("/a/b/cas/{HEX}"), 404);
    refused(&format!("/cas/{HEX}/x"), 404);
    refused(&format!("/cas/{HEX}/"), 404);
}

#[test]
fn reserved_names_are_no_namespaces() {
    for name in RESERVED.iter().filter(|name| !["bazel", "ccache"].contains(name)) {
        refused(&format!("/{name}/cas/{HEX}"), 404);
        refused(&format!("/{name}/ccache/{KEY_33}"), 404);
    }
    refused(&format!("/bazel/ccache/{KEY_33}"), 404);
    assert!(MOUNTS.iter().all(|mount| RESERVED.contains(&mount.name)));
}
