//! A small web server, whose answers a test decides.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{DISCOVERY, JWKS, Key};

#[derive(Clone)]
pub(super) enum Answer {
    Json(Value),
    /// The status line, with headers, of an answer without body.
    Empty(String),
    Hang,
}

pub(super) struct HttpServer {
    address: SocketAddr,
    site: Arc<Mutex<Site>>,
    /// Serves until it is dropped.
    _serving: JoinSet<()>,
}

#[derive(Default)]
struct Site {
    answers: HashMap<String, Answer>,
    requests: HashMap<String, usize>,
}

impl HttpServer {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let site = Arc::<Mutex<Site>>::default();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&site)));
        Self {
            address,
            site,
            _serving: serving,
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn answer(&self, path: &str, answer: Answer) {
        let mut site = self.site.lock().unwrap();
        site.answers.insert(path.to_owned(), answer);
    }

    /// Answers as an identity provider with these keys.
    pub(super) fn publish(&self, keys: &[&Key]) {
        let keys: Vec<_> = keys.iter().map(|key| key.jwk.clone()).collect();
        self.publish_jwks(json!({"keys": keys}));
    }

    pub(super) fn publish_jwks(&self, jwks: Value) {
        let discovery = json!({"issuer": self.url(""), "jwks_uri": self.url(JWKS)});
        self.answer(DISCOVERY, Answer::Json(discovery));
        self.answer(JWKS, Answer::Json(jwks));
    }

    /// How often a page was asked for.
    pub(super) fn requests(&self, path: &str) -> usize {
        let site = self.site.lock().unwrap();
        site.requests.get(path).copied().unwrap_or_default()
    }
}

async fn serve(listener: TcpListener, site: Arc<Mutex<Site>>) {
    let mut connections = JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        connections.spawn(answer(connection, Arc::clone(&site)));
    }
}

async fn answer(mut connection: TcpStream, site: Arc<Mutex<Site>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match connection.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap().to_owned();
    let answer = {
        let mut site = site.lock().unwrap();
        let answer = site.answers.get(&path).cloned();
        *site.requests.entry(path).or_default() += 1;
        answer
    };
    let (head, body) = match answer {
        Some(Answer::Json(json)) => ("200 OK".to_owned(), json.to_string()),
        Some(Answer::Empty(head)) => (head, String::new()),
        Some(Answer::Hang) => std::future::pending().await,
        None => ("404 Not Found".to_owned(), String::new()),
    };
    let length = body.len();
    let answer =
        format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    // Whoever has seen enough goes away.
    let _ = connection.write_all(answer.as_bytes()).await;
}
