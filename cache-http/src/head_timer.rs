use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};

/// Tells an idle connection from one on which a request's head trickles in.
///
/// hyper runs one timer from the moment it waits for a request until the head is complete, so that a
/// limit short enough against slow heads would also end connections that clients keep for later.
/// This timer lets the first byte of a head shorten the wait.
#[derive(Debug)]
pub(crate) struct HeadTimer {
    arrived: Arc<AtomicBool>,
    head_within: Duration,
}

impl HeadTimer {
    /// `arrived` is set by whoever reads from the connection, for every byte.
    pub(crate) fn new(arrived: Arc<AtomicBool>, head_within: Duration) -> Self {
        Self { arrived, head_within }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        // What arrived until now belongs to the request before.
        self.arrived.store(false, Ordering::Relaxed);
        Box::pin(HeadSleep {
            arrived: self.arrived.clone(),
            head_within: self.head_within,
            begun: false,
            sleep: Box::pin(tokio::time::sleep_until(deadline.into())),
        })
    }
}

/// hyper polls it after each read that left a head incomplete.
struct HeadSleep {
    arrived: Arc<AtomicBool>,
    head_within: Duration,
    begun: bool,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl Future for HeadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.begun && self.arrived.load(Ordering::Relaxed) {
            self.begun = true;
            let deadline = tokio::time::Instant::now() + self.head_within;
            self.sleep.as_mut().reset(deadline);
        }
        self.sleep.as_mut().poll(cx)
    }
}

impl Sleep for HeadSleep {}
