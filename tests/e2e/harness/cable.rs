//! A cable between two parts, which can be cut and everything else that happens to cables.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Carries connections, unless it is broken. Nothing goes through any more when it is dropped.
pub(crate) struct Cable {
    pub(crate) address: SocketAddr,
    state: watch::Sender<State>,
    carrying: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Whole,
    /// Everything takes so much longer.
    Slow(Duration),
    /// Connections are reset, and new ones too.
    Cut,
    /// Nothing goes through, and nobody is told.
    Silent,
    /// Nothing goes through this way, and nobody is told.
    Without(Way),
}

/// A way through the cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

impl Cable {
    /// A cable to a server.
    pub(crate) async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, follower) = watch::channel(State::Whole);
        let carrying = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(client, server.clone(), follower.clone()));
            }
        });
        Self {
            address,
            state,
            carrying,
        }
    }

    /// From now on everything takes so much longer.
    pub(crate) fn slow_down(&self, by: Duration) {
        self.state.send_replace(State::Slow(by));
    }

    /// From now on both ends are told that the other is gone.
    pub(crate) fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// From now on nothing goes through, and neither end is told.
    pub(crate) fn silence(&self) {
        self.state.send_replace(State::Silent);
    }

    /// From now on nothing goes through one way, and neither end is told.
    pub(crate) fn silence_way(&self, way: Way) {
        self.state.send_replace(State::Without(way));
    }

    /// New connections go through again. Those that were broken do not.
    pub(crate) fn mend(&self) {
        self.state.send_replace(State::Whole);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

impl State {
    fn carries(self, way: Way) -> bool {
        match self {
            Self::Whole | Self::Slow(_) => true,
            Self::Cut | Self::Silent => false,
            Self::Without(silent) => silent != way,
        }
    }
}

async fn carry(client: TcpStream, server: String, mut state: watch::Receiver<State>) {
    let begun_in = *state.borrow();
    if begun_in == State::Silent {
        let _ = state.wait_for(|state| *state == State::Cut).await;
    }
    if matches!(begun_in, State::Silent | State::Cut) {
        let _ = client.set_zero_linger();
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let both_ways = async {
        tokio::join!(
            forward(from_client, &mut to_server, state.clone(), Way::ToServer),
            forward(from_server, &mut to_client, state.clone(), Way::ToClient),
        )
    };
    let mut cut = state.clone();
    tokio::select! {
        _ = both_ways => return,
        // An error says that the cable is gone.
        _ = cut.wait_for(|state| *state == State::Cut) => {}
    }
    for end in [&to_client, &to_server] {
        let _ = end.as_ref().set_zero_linger();
    }
}

/// Forwards one way, until the end or until nothing goes through. What was silent once stays so, also
/// when the cable is mended: nobody sends again what was lost.
async fn forward(
    mut from: OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    way: Way,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            biased;
            _ = state.wait_for(|state| !state.carries(way)) => break,
            read = from.read(&mut buffer) => read,
        };
        let Ok(read @ 1..) = read else {
            let _ = to.shutdown().await;
            return;
        };
        let late = match *state.borrow() {
            State::Slow(by) => by,
            State::Whole | State::Cut | State::Silent | State::Without(_) => Duration::ZERO,
        };
        tokio::time::sleep(late).await;
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
    let _ = state.wait_for(|state| *state == State::Cut).await;
}
