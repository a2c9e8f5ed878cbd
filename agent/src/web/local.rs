//! How the box is, for programs of the box itself: `/health` on a socket in the data folder. Who may open the folder may
//! ask; no name, no certificate and no port is needed, so the console shows the box whatever is wrong with those.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::serve::{ServeLimits, connection_alone};

/// For question and answer, on one machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Some kilobytes usually.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Programs that ask at once: two consoles and a person's own, with room.
const AT_ONCE_MAX: usize = 16;
/// After the system refuses a connection: long enough not to spin.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// Where the socket is.
pub fn socket(data_dir: &Path) -> PathBuf {
    data_dir.join("run/health.sock")
}

/// Listens at [`socket`]; one that an agent left behind that was killed is replaced. The caller holds the data folder's lock.
///
/// # Errors
/// The folder does not take it, or its path is longer than a socket's may be (108 bytes).
pub fn bind(data_dir: &Path) -> io::Result<UnixListener> {
    let path = socket(data_dir);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path)?;
    // The agent's group: the console's own user is in it.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Answers until `stop`.
pub async fn serve(listener: Option<UnixListener>, router: Router, stop: CancellationToken) {
    let Some(listener) = listener else { return stop.cancelled().await };
    let places = Arc::new(Semaphore::new(AT_ONCE_MAX));
    loop {
        // Who finds no place waits in the system's own queue.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (router, stop) = (router.clone(), stop.clone());
                tokio::spawn(async move {
                    let _until_it_ends = place;
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = connection_alone(stream, router, ServeLimits::default()) => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the local socket was not accepted");
                tokio::time::sleep(PAUSE_AFTER_REFUSAL).await;
            }
        }
    }
}

/// What `/health` says now, of the agent that has `data_dir`.
///
/// # Errors
/// Nobody listens there, or no answer came.
pub async fn health(data_dir: &Path) -> io::Result<Value> {
    timeout(ANSWER_WITHIN, ask(data_dir)).await.map_err(|_elapsed| io::ErrorKind::TimedOut)?
}

async fn ask(data_dir: &Path) -> io::Result<Value> {
    let stream = UnixStream::connect(socket(data_dir)).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::get("/health")
        .header(header::HOST, "localhost")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        serde_json::from_slice(&body.map_err(io::Error::other)?.to_bytes()).map_err(io::Error::other)
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection ends with its last answer, which may not be read yet.
        _ended = connection => exchange.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Json, routing::get};

    #[tokio::test]
    async fn whoever_may_open_the_folder_is_told_how_the_box_is_and_a_socket_that_was_left_behind_is_replaced()
     {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("run")).unwrap();
        let router =
            || Router::new().route("/health", get(async || Json(serde_json::json!({"status": "ok"}))));
        for _ in 0..2 {
            let listener = bind(folder.path()).unwrap();
            let stop = CancellationToken::new();
            let serving = tokio::spawn(serve(Some(listener), router(), stop.clone()));
            assert_eq!(health(folder.path()).await.unwrap()["status"], "ok");
            stop.cancel();
            serving.await.unwrap();
            assert!(health(folder.path()).await.is_err(), "nobody answers any more");
        }
    }
}
