//! A client that keeps its connection, and does no more than it must: what is measured is the host.

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One connection.
pub struct Client {
    stream: TcpStream,
    address: String,
    answer: Vec<u8>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Client { stream, address: address.to_owned(), answer: Vec::new() })
    }

    /// Sends a command, which must be accepted.
    ///
    /// # Errors
    /// When it is not.
    pub async fn command(&mut self, aggregate: &str, id: &str, body: &str) -> Result<()> {
        let request = format!(
            "POST /v1/aggregates/{aggregate}/{id}/commands HTTP/1.1\r\nHost: {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.answer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.answer).await?;
            ensure!(read > 0, "the host has closed the connection");
            let Some(head) = self.answer.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
            let text = std::str::from_utf8(&self.answer[..head])?;
            let length = text.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
            });
            if self.answer.len() < head + 4 + length.context("an answer without its length")? {
                continue;
            }
            ensure!(text.starts_with("HTTP/1.1 200"), "{}", String::from_utf8_lossy(&self.answer));
            return Ok(());
        }
    }
}
