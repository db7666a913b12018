use crate::harness::process::Process;
use crate::harness::server::Server;

#[test]
fn an_empty_registry_answers() {
    let mut server = Server::start();
    assert_eq!(server.client.get("/v2/").status, 200);
    server.restart();
    assert_eq!(server.client.get("/v2/_catalog").text(), r#"{"repositories":[]}"#);
    assert!(server.blob_path("sha256:ab").parent().is_some());
    server.advance(std::time::Duration::from_secs(1));
}

#[test]
fn a_process_answers_and_stops() {
    let directory = tempfile::TempDir::new().unwrap();
    let process = Process::start(directory.path(), &[]);
    assert_eq!(process.client.get("/v2/").status, 200);
    let (status, log) = process.terminate();
    assert!(status.success(), "{log}");
}
