//! A cable between a service and its database.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Carries connections, unless it is cut. Nothing goes through any more when it is dropped.
pub(crate) struct Cable {
    pub(crate) address: SocketAddr,
    state: watch::Sender<State>,
    carrying: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Whole,
    /// Connections are reset, and new ones too.
    Cut,
    /// Nothing goes through, and nobody is told.
    Silent,
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

    /// From now on both ends are told that the other is gone.
    pub(crate) fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// From now on nothing goes through, and neither end is told.
    pub(crate) fn silence(&self) {
        self.state.send_replace(State::Silent);
    }

    /// New connections go through again. Those from before the cut do not.
    pub(crate) fn mend(&self) {
        self.state.send_replace(State::Whole);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

async fn carry(mut client: TcpStream, server: String, mut state: watch::Receiver<State>) {
    let mut _server = None;
    if *state.borrow() == State::Whole {
        let Ok(server) = TcpStream::connect(server).await else {
            return;
        };
        let server = _server.insert(server);
        tokio::select! {
            _ = copy_bidirectional(&mut client, server) => return,
            _ = state.wait_for(|state| *state != State::Whole) => {}
        }
    }
    // What was silent once stays so, also when the cable is mended: nobody sends again what was lost.
    let _ = state.wait_for(|state| *state == State::Cut).await;
}
