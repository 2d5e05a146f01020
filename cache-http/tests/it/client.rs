//! As little HTTP/1.1 as it takes, so that nothing is smoothed over.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// No answer takes so long; a test that would hang fails instead.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Client {
    stream: TcpStream,
    buffered: Vec<u8>,
}

/// A response as it came, also if the connection ended before its body did.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) complete: bool,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let client = Self::connect_with_nagle(addr).await;
        client.stream.set_nodelay(true).unwrap();
        client
    }

    /// A connection whose small packets wait for the acknowledgement of those before.
    pub(crate) async fn connect_with_nagle(addr: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(addr).await.unwrap(), buffered: Vec::new() }
    }

    /// Writes bytes as they are. Whether the server took them; the reply tells more.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Writes a head with these header lines.
    pub(crate) async fn begin(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.write(head).await;
    }

    /// One whole exchange.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let len = body.len().to_string();
        let mut headers = headers.to_vec();
        if method == "PUT" || method == "POST" {
            headers.push(("Content-Length", &len));
        }
        self.begin(method, path, &headers).await;
        self.write(body).await;
        self.reply(method).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        self.ask("GET", path, &[], &[]).await
    }

    pub(crate) async fn head(&mut self, path: &str) -> Reply {
        self.ask("HEAD", path, &[], &[]).await
    }

    pub(crate) async fn put(&mut self, path: &str, body: impl AsRef<[u8]>) -> Reply {
        self.ask("PUT", path, &[], body.as_ref()).await
    }

    pub(crate) async fn delete(&mut self, path: &str) -> Reply {
        self.ask("DELETE", path, &[], &[]).await
    }

    /// Reads the reply to a request of this method.
    pub(crate) async fn reply(&mut self, method: &str) -> Reply {
        self.try_reply(method).await.expect("the connection ended before a reply")
    }

    /// As [`reply`](Self::reply); `None` if the connection ends before a whole head came.
    pub(crate) async fn try_reply(&mut self, method: &str) -> Option<Reply> {
        let head_len = loop {
            if let Some(at) = self.buffered.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more().await {
                return None;
            }
        };
        let head: Vec<u8> = self.buffered.drain(..head_len).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| {
                let (name, value) = line.split_once(": ").unwrap();
                (name.to_lowercase(), value.to_owned())
            })
            .collect();
        let mut reply = Reply { status, headers, body: Vec::new(), complete: true };
        let len = reply.header("content-length").expect("every reply has a length").parse().unwrap();
        if method != "HEAD" {
            while self.buffered.len() < len && reply.complete {
                reply.complete = self.more().await;
            }
            reply.body = self.buffered.drain(..len.min(self.buffered.len())).collect();
        }
        Some(reply)
    }

    /// Reads the status line and headers of an interim reply.
    pub(crate) async fn interim(&mut self) -> String {
        while !self.buffered.ends_with(b"\r\n\r\n") && self.more().await {}
        String::from_utf8(std::mem::take(&mut self.buffered)).unwrap()
    }

    /// Waits until the server ends the connection; whether it does so within `limit`.
    pub(crate) async fn ends_within(&mut self, limit: Duration) -> bool {
        timeout(limit, async { while self.more().await {} }).await.is_ok()
    }

    /// Reads what has come, or waits for something to come; whether it did before the end.
    pub(crate) async fn more(&mut self) -> bool {
        let mut chunk = vec![0; 64 * 1024];
        let read = timeout(PATIENCE, self.stream.read(&mut chunk)).await.expect("the server answers in time");
        let len = read.unwrap_or(0);
        self.buffered.extend_from_slice(&chunk[..len]);
        len > 0
    }
}
