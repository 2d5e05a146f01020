//! Servers that are other programs.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::trials::{Absent, variable};

/// How long a server may take to listen; a machine that does much else is slow.
const START: Duration = Duration::from_secs(300);

/// A program that serves, started when it is wanted first, and killed in the end.
pub(crate) struct Program(Mutex<Option<Result<Running, Absent>>>);

struct Running {
    child: Child,
    address: SocketAddr,
}

impl Program {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Where it listens. `command` makes what is to be started, for a port that is free; `ready` is asked for once, when
    /// it listens.
    pub(crate) fn address(
        &self,
        command: impl FnOnce(u16) -> Result<Command, Absent>,
        ready: impl FnOnce(SocketAddr) -> Result<(), Absent>,
    ) -> Result<SocketAddr, Absent> {
        let mut program = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let started = program.get_or_insert_with(|| {
            let running = start(command)?;
            ready(running.address)?;
            Ok(running)
        });
        started.as_ref().map(|running| running.address).map_err(Absent::clone)
    }

    pub(crate) fn stop(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(command: impl FnOnce(u16) -> Result<Command, Absent>) -> Result<Running, Absent> {
    let address = free_address()?;
    let mut command = command(address.port())?;
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.map_err(|error| Absent::broken(format_args!("{command:?}: {error}")))?;
    let mut running = Running { child, address };
    let begin = Instant::now();
    while TcpStream::connect(address).is_err() {
        if let Ok(Some(status)) = running.child.try_wait() {
            return Err(Absent::broken(format_args!("{command:?} has ended: {status}")));
        }
        if begin.elapsed() > START {
            return Err(Absent::broken(format_args!("{command:?} does not listen")));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(running)
}

/// An address that nobody listens on now, and that nobody is given who asks for any. No two calls answer the same: who
/// was given one may listen late.
pub(crate) fn free_address() -> Result<SocketAddr, Absent> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..100 {
        // Below those that systems hand out.
        let port = fastrand::u16(20_000..30_000);
        if given.insert(port)
            && let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        {
            return listener.local_addr().map_err(Absent::broken);
        }
    }
    Err(Absent::broken("no port is free"))
}

/// The path of a program: what a variable of the environment names, or what is found by its name.
pub(crate) fn program(name: &str, variable_name: &str) -> Result<String, Absent> {
    let program = variable(variable_name).unwrap_or_else(|| name.to_owned());
    let found = if program.contains('/') {
        std::path::Path::new(&program).exists()
    } else {
        let path = variable("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|dir| dir.join(&program).is_file())
    };
    if found {
        Ok(program)
    } else {
        Err(Absent::needs(format!("needs {name}, or its path in {variable_name}")))
    }
}
