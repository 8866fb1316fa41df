//! Signals that end a run early, in order.

use std::fmt;

use tokio::signal::unix::{SignalKind, signal};

/// Which signal came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupted {
    /// SIGINT, of Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP.
    HangUp,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Interrupted::Interrupt => "SIGINT (Ctrl-C)",
            Interrupted::Terminate => "SIGTERM",
            Interrupted::HangUp => "SIGHUP",
        })
    }
}

/// Waits for the first of them. Pends for ever where the process may not listen for signals.
pub async fn interrupted() -> Interrupted {
    let listen = |kind: SignalKind, interrupted: Interrupted| async move {
        match signal(kind) {
            Ok(mut stream) => {
                stream.recv().await;
                interrupted
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        came = listen(SignalKind::interrupt(), Interrupted::Interrupt) => came,
        came = listen(SignalKind::terminate(), Interrupted::Terminate) => came,
        came = listen(SignalKind::hangup(), Interrupted::HangUp) => came,
    }
}
