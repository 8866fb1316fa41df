//! A TCP forwarder that can be cut and opened again at known instants.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{RwLock, watch},
};

/// What a client meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    Open,
    /// Connections are reset, the open ones and new ones: a process died, its host lives.
    Reset,
    /// Connections are accepted and nothing ever comes back, as through a published port whose host is dead.
    Silent,
}

/// The forwarder. Dropping it ends it.
pub struct Gate {
    pub port: u16,
    passage: watch::Sender<Passage>,
    /// Held for reading while bytes pass, so that no byte passes after a cut has returned.
    passing: Arc<RwLock<()>>,
    tasks: Arc<Mutex<tokio::task::JoinSet<()>>>,
}

impl Gate {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own = listener.local_addr().expect("its address").port();
        let (passage, seen) = watch::channel(Passage::Open);
        let passing = Arc::new(RwLock::new(()));
        let tasks = Arc::new(Mutex::new(tokio::task::JoinSet::new()));
        let target = SocketAddr::from(([127, 0, 0, 1], port));
        tasks.lock().unwrap().spawn(accept(listener, target, seen, passing.clone(), Arc::downgrade(&tasks)));
        Self { port: own, passage, passing, tasks }
    }

    /// Changes what clients meet and returns the instant of it.
    pub async fn set(&self, passage: Passage) -> Instant {
        let _nothing_passes = self.passing.write().await;
        self.passage.send_replace(passage);
        Instant::now()
    }

    /// Cuts for this long and returns when the cut began and how long it was, in milliseconds.
    pub async fn cut(&self, passage: Passage, length: Duration) -> (Instant, f64) {
        let from = self.set(passage).await;
        tokio::time::sleep_until((from + length).into()).await;
        let to = self.set(Passage::Open).await;
        (from, (to - from).as_secs_f64() * 1000.0)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.tasks.lock().unwrap().abort_all();
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    passage: watch::Receiver<Passage>,
    passing: Arc<RwLock<()>>,
    tasks: std::sync::Weak<Mutex<tokio::task::JoinSet<()>>>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let (Some(tasks), passage, passing) = (tasks.upgrade(), passage.clone(), passing.clone()) else { return };
        let mut tasks = tasks.lock().unwrap();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(serve(client, target, passage, passing));
    }
}

async fn serve(client: TcpStream, target: SocketAddr, mut passage: watch::Receiver<Passage>, passing: Arc<RwLock<()>>) {
    client.set_nodelay(true).unwrap();
    let watched = passage.clone();
    let began_in = *passage.borrow_and_update();
    if began_in == Passage::Open {
        let Ok(server) = TcpStream::connect(target).await else { return };
        server.set_nodelay(true).unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let cut = tokio::select! {
            () = forward(&mut from_client, &mut to_server, &watched, &passing) => false,
            () = forward(&mut from_server, &mut to_client, &watched, &passing) => false,
            _ = passage.changed() => true,
        };
        if !cut && *passage.borrow() == Passage::Open {
            return;
        }
        end(from_client.reunite(to_client).unwrap(), passage).await;
    } else {
        end(client, passage).await;
    }
}

/// A silent connection stays silent for this long after the gate is open again, so that whoever waits for an answer
/// on it learns nothing from the opening.
const SILENT_BEYOND_THE_CUT: Duration = Duration::from_millis(1500);

/// A cut connection is dead for good: reset at once, or silent until after the cut.
async fn end(client: TcpStream, mut passage: watch::Receiver<Passage>) {
    if *passage.borrow() == Passage::Silent {
        let _ = passage.wait_for(|passage| *passage != Passage::Silent).await;
        tokio::time::sleep(SILENT_BEYOND_THE_CUT).await;
    }
    let _ = client.set_zero_linger();
}

async fn forward(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    passage: &watch::Receiver<Passage>,
    passing: &RwLock<()>,
) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        let _passing = passing.read().await;
        if *passage.borrow() != Passage::Open || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
