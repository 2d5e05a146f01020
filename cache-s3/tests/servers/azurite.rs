//! The suite on Azurite, Microsoft's own emulator of Azure: `npm install azurite`.

use std::{
    net::SocketAddr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use cache_conformance::{Factory, Setup};
use cache_core::{Result, Store};
use cache_s3::{AzureOptions, S3Store, StoreOptions};
use libtest_mimic::Trial;

use crate::{
    process::{Program, program},
    trials::{Absent, suite},
};

static AZURITE: Program = Program::new();

/// The account that every emulator has, and its key.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const CONTAINER: &str = "cache";

/// Makes the container, which stores do not: `node -e` this, with the port, the account, its key and the container.
const MAKE: &str = r#"
const [port, account, key, container] = process.argv.slice(1);
const [http, crypto] = [require("http"), require("crypto")];
const date = new Date().toUTCString(), version = "2021-08-06";
const path = `/${account}/${container}`;
const text = "PUT\n".concat("\n".repeat(11), `x-ms-date:${date}\nx-ms-version:${version}\n`,
    `/${account}${path}\nrestype:container`);
const signed = crypto.createHmac("sha256", Buffer.from(key, "base64")).update(text, "utf8").digest("base64");
const headers = { "x-ms-date": date, "x-ms-version": version, "content-length": 0,
    authorization: `SharedKey ${account}:${signed}` };
http.request({ host: "127.0.0.1", port, method: "PUT", path: `${path}?restype=container`, headers }, (answer) => {
    if (answer.statusCode !== 201) { console.error(answer.statusCode); process.exitCode = 1; }
    answer.resume();
}).end();
"#;

fn make_container(address: SocketAddr) -> std::result::Result<(), Absent> {
    let port = address.port().to_string();
    let made = Command::new("node").args(["-e", MAKE, &port, ACCOUNT, KEY, CONTAINER]).output();
    match made.map_err(Absent::broken)? {
        output if output.status.success() => Ok(()),
        output => Err(Absent::broken(String::from_utf8_lossy(&output.stderr))),
    }
}

pub(crate) fn trials() -> Vec<Trial> {
    suite("azurite", 3, |_| {
        let command = |port: u16| {
            let mut command = Command::new(program("azurite-blob", "CACHE_S3_AZURITE")?);
            command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]);
            // It does not know the newest version of the protocol.
            command.args([
                "--silent",
                "--inMemoryPersistence",
                "--skipApiVersionCheck",
                "--disableTelemetry",
            ]);
            Ok(command)
        };
        Ok(BelowPrefix::new(AZURITE.address(command, make_container)?))
    })
}

pub(crate) fn stop() {
    AZURITE.stop();
}

/// All clauses share the container.
struct BelowPrefix {
    endpoint: String,
    prefix: String,
}

impl BelowPrefix {
    fn new(address: SocketAddr) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let prefix = format!("clause-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        Self { endpoint: format!("http://{address}/{ACCOUNT}"), prefix }
    }
}

#[async_trait]
impl Factory for BelowPrefix {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let store = StoreOptions::default()
            .with_prefix(&self.prefix)
            .with_owned(true)
            .with_max_bytes(setup.max_bytes)
            .with_max_blob_bytes(setup.max_blob_bytes);
        let options = AzureOptions::new(ACCOUNT, CONTAINER)
            .with_access_key(KEY)
            .with_endpoint(&self.endpoint)
            .with_allow_http(true)
            .with_store(store);
        Ok(Arc::new(S3Store::open_azure(options).await?))
    }
}
