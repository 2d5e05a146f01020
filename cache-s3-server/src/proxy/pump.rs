use std::{io, time::Duration};

use tokio::{net::TcpStream, sync::watch, task::yield_now, time::sleep};

use super::{Direction, Disturbance, Settings};

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Close,
    Reset,
}

async fn read(from: &TcpStream, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        from.readable().await?;
        match from.try_read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

async fn write(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// Hands on what one side says, until it has said all or a disturbance ends it.
pub(super) async fn pump(
    from: &TcpStream,
    to: &TcpStream,
    direction: Direction,
    mut settings: watch::Receiver<Settings>,
) -> End {
    let mut buffer = vec![0; 16 << 10];
    let (mut carried, mut counted) = (0_u64, 0);
    loop {
        let Ok(read) = read(from, &mut buffer).await else { return End::Close };
        if read == 0 {
            return End::Close;
        }
        let Ok(now) = settings.wait_for(|settings| !settings.frozen).await.map(|settings| settings.clone())
        else {
            return End::Close;
        };
        if counted != now.epoch {
            (carried, counted) = (0, now.epoch);
        }
        let bytes = buffer.get_mut(..read).unwrap_or_default();
        let within =
            |at: u64| at.checked_sub(carried).and_then(|at| usize::try_from(at).ok()).filter(|at| *at < read);
        let (mut piece, mut pause, mut end) = (read, Duration::ZERO, None);
        match now.disturbance.towards(direction) {
            Disturbance::Refuse => return End::Reset,
            Disturbance::Latency(time) => pause = time,
            Disturbance::Rate(_, rate) => {
                // A slow line carries a little at a time.
                let rate = usize::try_from(rate).unwrap_or(usize::MAX).max(1);
                piece = (rate / 20).clamp(1, read);
                pause = Duration::from_secs(1).mul_f64(piece as f64 / rate as f64);
            }
            Disturbance::Flip(_, at) => {
                if let Some(byte) = within(at).and_then(|at| bytes.get_mut(at)) {
                    *byte ^= 1;
                }
            }
            Disturbance::Cut(_, at) | Disturbance::Reset(_, at) | Disturbance::Hang(_, at) => {
                end = within(at);
            }
            Disturbance::None => {}
        }
        for piece in bytes.get(..end.unwrap_or(read)).unwrap_or_default().chunks(piece) {
            // The other way gets its turn in any case, and a line without delay waits for no timer.
            if pause.is_zero() {
                yield_now().await;
            } else {
                sleep(pause).await;
            }
            if write(to, piece).await.is_err() {
                return End::Close;
            }
        }
        if end.is_some() {
            match now.disturbance {
                Disturbance::Reset(..) => return End::Reset,
                // Until the test wants something else.
                Disturbance::Hang(..) => {
                    drop(settings.wait_for(|settings| settings.epoch != now.epoch).await);
                }
                _ => {}
            }
            return End::Close;
        }
        carried += read as u64;
    }
}
