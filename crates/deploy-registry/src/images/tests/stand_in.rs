use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as far as it matters: `GET /path?query`, and what it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) line: String,
    pub(super) authorization: Option<String>,
}

/// What is answered: a status, headers and a body.
pub(super) type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

/// A server over HTTP/1.1 that answers each request as a function says. Stops when it is dropped.
pub(super) struct StandIn {
    pub(super) host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    serving: JoinHandle<()>,
}

impl StandIn {
    pub(super) async fn start(
        answer: impl Fn(&str, &Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let (seen, own) = (asked.clone(), host.clone());
        let answer = Arc::new(answer);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (seen, own, answer) = (seen.clone(), own.clone(), answer.clone());
                tokio::spawn(async move {
                    // Whoever hangs up in the middle has seen enough.
                    let _ = serve(stream, &seen, |asked| answer(&own, asked)).await;
                });
            }
        });
        Self {
            host,
            asked,
            serving,
        }
    }

    /// All that was asked so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Asked>>,
    answer: impl Fn(&Asked) -> Answer,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    let header = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("authorization")
            .then(|| value.to_owned())
    };
    let line = head.lines().next().unwrap_or_default();
    let asked = Asked {
        line: line.strip_suffix(" HTTP/1.1").unwrap_or(line).to_owned(),
        authorization: head.lines().find_map(header),
    };
    seen.lock().unwrap().push(asked.clone());
    let (status, headers, body) = answer(&asked);
    let mut text = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    stream.write_all(text.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await
}
