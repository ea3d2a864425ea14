use std::fs;
use std::net::TcpListener;
use std::sync::mpsc::sync_channel;

use chaperone_protocol::keys::Keys;
use chaperone_protocol::snapshot::Snapshot;
use rcgen::{CertificateParams, KeyPair};

use super::*;

const DOCUMENT: &[u8] = br#"{"protocol":1,"scope":{"namespace":"shop","serviceAccount":"checkout"}}"#;
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// Names and sizes of all files in a folder.
fn files(folder: &std::path::Path) -> Vec<(String, u64)> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len())
    };
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(entry).collect();
    files.sort();
    files
}

#[tokio::test(start_paused = true)]
async fn f61_a_week_without_an_operator_leaves_in_force_what_was_and_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let ca = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem();
    // Nobody listens there any more.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "token").unwrap();
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    let feed =
        Feed { address: closed.to_string(), server_name: "feed".to_owned(), ca, token, state: state.clone() };
    let shared = Arc::new(Shared::for_test(sync_channel(1).0));
    let snapshot = Snapshot::from_bytes(DOCUMENT).unwrap();
    let version = snapshot.version().clone();
    LastGood::new(&state).store(&version, DOCUMENT, &Keys::default()).unwrap();
    let before = files(&state);

    restore(&shared, &feed);
    tokio::select! {
        () = run(&shared, &feed) => panic!("it gave up"),
        () = tokio::time::sleep(WEEK) => {}
    }

    assert_eq!(*shared.live.world().expect("it is in force").snapshot.version(), version);
    assert!(shared.freshness.age(clock::now()).unwrap() >= WEEK, "it says how old that is");
    assert_eq!(files(&state), before);
    assert_eq!((shared.pools.len(), shared.tasks.len()), (0, 0), "no attempt has left a task behind");
}
