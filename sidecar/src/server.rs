//! The data port: accepts connections, sets every limit of hyper explicitly, drains.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chaperone_protocol::limits;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::sidecar::Shared;

/// A request's head must arrive within this time.
const HEAD: Duration = Duration::from_secs(5);
/// Connections at a time. Beyond, new ones wait in the kernel's backlog.
const CONNECTIONS: usize = 4_096;
/// After a failed accept (no descriptors, say): time for something to be given back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until `closing`, then lets connections finish what they have begun.
pub(crate) async fn run(shared: Arc<Shared>, listener: TcpListener, closing: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = tokio::select! {
            () = closing.cancelled() => return,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let Ok(place) = place else { return };
        let accepted = tokio::select! {
            () = closing.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = connection(Arc::clone(&shared), stream, closing.clone());
                shared.tasks.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; going on in a moment");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, closing: CancellationToken) {
    // Without it a token waits 40 ms for the acknowledgement of the one before.
    if stream.set_nodelay(true).is_err() {
        return; // The peer is already gone.
    }
    serve(shared, stream, closing).await;
}

/// Serves one connection, whatever carries it.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    closing: CancellationToken,
) {
    let asked = Arc::new(AtomicBool::new(false));
    let service = service_fn({
        let asked = Arc::clone(&asked);
        move |request| {
            asked.store(true, Ordering::Relaxed);
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(api::handle(shared, request).await) }
        }
    });
    let builder = builder();
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    // hyper's limit on the head begins with its first byte of HTTP; a peer that sends none must not hold a place.
    let silent = tokio::time::sleep(HEAD * 2);
    tokio::pin!(silent);
    let mut watch_silence = true;
    let mut finishing = false;
    loop {
        tokio::select! {
            // A connection that ends badly concerns its peer alone: requests have their records.
            _ = serving.as_mut() => return,
            () = &mut silent, if watch_silence => {
                if !asked.load(Ordering::Relaxed) {
                    return;
                }
                watch_silence = false;
            }
            () = closing.cancelled(), if !finishing => {
                serving.as_mut().graceful_shutdown();
                finishing = true;
            }
        }
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(limits::HEADER_FIELDS)
        .max_buf_size(limits::HEAD_BYTES)
        .keep_alive(true)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(256)
        .max_header_list_size(16 << 10)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(1_024)
        .initial_stream_window_size(256 << 10)
        .initial_connection_window_size(1 << 20)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}
