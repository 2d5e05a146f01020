use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether a host is the metadata service of the machine or of the container, which no proxy leads to and which hands
/// out credentials to whoever asks.
pub(crate) fn is_metadata_service(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "metadata.google.internal"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_link_local())
        || host.parse::<Ipv6Addr>().is_ok_and(|address| {
            // What AWS uses instead of a link-local address.
            let [first, second, ..] = address.segments();
            address.is_unicast_link_local() || (first, second) == (0xfd00, 0x0ec2)
        })
}

#[cfg(test)]
mod tests {
    use super::is_metadata_service;

    #[test]
    fn metadata_services_are_told_from_servers() {
        for host in [
            "169.254.169.254",
            "169.254.170.2",
            "[fd00:ec2::254]",
            "fd00:ec2::23",
            "fe80::1",
            "metadata.google.internal",
        ] {
            assert!(is_metadata_service(host), "{host}");
        }
        for host in [
            "s3.amazonaws.com",
            "127.0.0.1",
            "[::1]",
            "10.0.0.1",
            "169.255.0.1",
            "metadata.google.internal.org",
        ] {
            assert!(!is_metadata_service(host), "{host}");
        }
    }
}
