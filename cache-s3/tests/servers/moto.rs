//! The suite on moto, which is written in Python and knows nothing of us: `pip install 'moto[server]'`.

use std::process::Command;

use libtest_mimic::Trial;

use crate::{
    bucket::InBucket,
    process::{Program, program},
    trials::suite,
};

static MOTO: Program = Program::new();

pub(crate) fn trials() -> Vec<Trial> {
    suite("moto", 1, |_| {
        let command = |port: u16| {
            let mut command = Command::new(program("moto_server", "CACHE_S3_MOTO")?);
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            Ok(command)
        };
        Ok(InBucket::new(MOTO.address(command, |_| Ok(()))?))
    })
}

pub(crate) fn stop() {
    MOTO.stop();
}
